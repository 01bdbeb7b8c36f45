"""The broker's clock is set while three nodes send over mutual TLS: every connection is lost, no reading is.

mosquitto 2.0.21 takes its timeouts from the wall clock. After a jump forward it hangs up on every
client, and answers nobody while it counts the seconds that it has missed: 56 years take 7 s of a
PC's processor. A jump back disturbs nobody.
"""

import pytest

from harness import BoardClock, eventually
from harness.clock import BUILT_LONG_AGO_S, YEAR_2037_S

NODES = ["orangepi0", "orangepi1", "raspberrypi4"]


def start_nodes(run, clock):
    """The centre with this clock, and nodes whose readings are under way."""
    run.new_centre(NODES, clock=clock)
    run.ingests = [run.centre.ingest()]
    publishers = []
    for name in NODES:
        run.new_node()
        publishers.append(run.add_publisher(name))
        run.add_sampler()
    eventually(lambda: run.lab.database.count() > run.count // 50, "readings flow")
    return publishers


@pytest.mark.parametrize("wrong_s, connects", [(BUILT_LONG_AGO_S, 2), (YEAR_2037_S, 1)], ids=["1970", "2037"])
def test_broker_gets_the_time(run, tmp_path, wrong_s, connects):
    run.name = f"the broker's clock goes from {'1970' if connects == 2 else '2037'} to now"
    clock = BoardClock(tmp_path, wall_s=wrong_s)
    publishers = start_nodes(run, clock)
    for _ in run.moments(1, 0.2, 0.4):
        clock.set()
    run.when_sampled(len(NODES) * run.count)
    run.finish()
    assert [publisher.connections(run.centre.outside) for publisher in publishers] == [connects] * len(NODES)
