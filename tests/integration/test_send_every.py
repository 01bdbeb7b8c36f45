"""SEND_EVERY and LINK: what is gathered, and what never waits."""

import json
from collections import Counter

from harness import Centre, Ledger, eventually
from harness.oracle import all_accepted

EVERY_S = 3


def test_readings_of_all_samplers_are_gathered(lab, local, central):
    """Two samplers of three sensors: one batch of each at a time, states and statistics no more often."""
    centre = Centre(lab.client(central))
    watcher = lab.client(central)
    shown = []
    for topics in "state/pi/+", "stats/pi/sampler/+":
        watcher.listen(topics, lambda message: shown.append(message.topic))
    gathers = {"SEND_EVERY": f"{EVERY_S}s", "STATS_PERIOD_S": EVERY_S}
    lab.publisher(local, central, node="pi", ANSWER_WITHIN="0", **gathers)
    names = [f"s{i}=sim@{i}" for i in range(6)]
    samplers = [
        lab.sampler(local, ",".join(names[i::2]), PERIOD_MS=200, STATS_PERIOD_S=1) for i in range(2)
    ]
    streams = {Ledger(sampler.ledger_path).runs[0] for sampler in samplers}
    eventually(lambda: {b.stream for b in centre.batches} == streams, "batches of both", 60)
    begun = len(centre.batches) + 2
    eventually(lambda: len(centre.batches) >= begun + 4, "both come twice more", 60)
    batches = centre.batches[begun : begun + 4]
    assert {batch.stream for batch in batches} == streams
    # 15 readings a second for three seconds.
    assert all(batch.count >= 30 for batch in batches)
    eventually(lambda: len(set(shown)) == 8, "six states, and statistics of two samplers")
    times = Counter(shown)
    assert max(times.values()) <= len(centre.batches) / 2 + 2, times
    for sampler in samplers:
        sampler.stop()
        assert Ledger(sampler.ledger_path).unaccepted == set()


def test_outputs_and_what_goes_offline_do_not_wait(lab, local, central):
    """A minute to gather, and the status of a sampler that dies is there long before."""
    watcher = lab.client(central)
    statuses = []
    watcher.listen("status/pi/+", lambda message: statuses.append(message.payload))
    lab.publisher(local, central, node="pi", LINK="metered")
    sampler = lab.sampler(local, "bench=sim@42,count=20", PERIOD_MS=10)
    eventually(lambda: b"online" in statuses, "it is online")
    sampler.kill()
    eventually(lambda: b"offline" in statuses, "it is offline")
    assert Ledger(sampler.ledger_path).accepted == set(), "its readings are gathered meanwhile"


def test_a_stop_saves_what_is_gathered(lab, local, central):
    """Gathered and never sent: the outbox has it at the stop, and the next run sends it at once."""
    centre = Centre(lab.client(central))
    publisher = lab.publisher(local, central, LINK="metered")
    sampler = lab.sampler(local, "bench=sim@42,count=50", PERIOD_MS=10)
    eventually(lambda: len(Ledger(sampler.ledger_path).readings) == 50, "all are sampled")
    publisher.stop()
    all_accepted(sampler, 50)
    publisher.start()
    eventually(lambda: centre.answered == set(range(1, 51)), "all are sent")
    assert json.loads(centre.batches[0].payload)
