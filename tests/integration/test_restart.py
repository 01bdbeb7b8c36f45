"""SIGKILL of each part in the middle of the flow: nothing accepted is missing, nothing twice."""

import pytest

from harness import Ledger, eventually
from harness.oracle import stored_exactly_once

COUNT = 2000


@pytest.fixture
def flow(lab, local, central):
    """A whole system with readings on their way; its parts by name."""
    parts = {"local": local, "central": central}
    parts["ingest"] = lab.ingest(central)
    parts["publisher"] = lab.publisher(local, central, SPILL_AFTER_MS=300)
    parts["sampler"] = lab.sampler(local, f"bench=sim@42,count={COUNT}", PERIOD_MS=1)
    eventually(lambda: lab.database.count() > COUNT // 10, "readings flow")
    return parts


@pytest.mark.tsan
def test_publisher_killed(lab, flow):
    """The publisher's memory is lost; what it had not accepted comes again from the sampler."""
    flow["publisher"].restart()
    stored_exactly_once(lab, flow["sampler"], COUNT)


def test_publisher_killed_again_and_again(lab, flow):
    """Five kills at five places."""
    for part in range(2, 7):
        flow["publisher"].restart()
        eventually(lambda: lab.database.count() >= COUNT * part // 10, "readings flow again")
    stored_exactly_once(lab, flow["sampler"], COUNT)


@pytest.mark.tsan
def test_ingest_killed(lab, flow):
    """Batches that ingest took and did not commit, or committed and did not answer, come again."""
    flow["ingest"].restart()
    stored_exactly_once(lab, flow["sampler"], COUNT)


def test_ingest_killed_again_and_again(lab, flow):
    """Five kills at five places."""
    for part in range(2, 7):
        flow["ingest"].restart()
        eventually(lambda: lab.database.count() >= COUNT * part // 10, "readings flow again")
    stored_exactly_once(lab, flow["sampler"], COUNT)


@pytest.mark.parametrize("name", ["local", "central"])
def test_a_broker_killed(lab, flow, name):
    """A broker without persistence forgets what it had acknowledged; the ends do not."""
    flow[name].kill()
    flow[name].start()
    stored_exactly_once(lab, flow["sampler"], COUNT)


def test_everything_but_the_sampler_killed_at_once(lab, flow):
    """Publisher, ingest and both brokers die together and come back."""
    victims = [flow[name] for name in ("publisher", "ingest", "local", "central")]
    for victim in victims:
        victim.kill()
    for name in ("local", "central"):
        flow[name].start()
    for name in ("publisher", "ingest"):
        flow[name].start(healthy=False)
    stored_exactly_once(lab, flow["sampler"], COUNT)


def test_ingest_frozen(lab, flow):
    """SIGSTOP is worse than death, as the broker still delivers: all of it arrives in the end."""
    flow["ingest"].freeze()
    ledger = flow["sampler"].ledger_path
    sampled = len(Ledger(ledger).readings)
    eventually(lambda: len(Ledger(ledger).readings) >= min(COUNT, sampled + 800), "samples go on")
    flow["ingest"].thaw()
    stored_exactly_once(lab, flow["sampler"], COUNT)


def test_a_restarted_sampler_is_a_new_stream(lab, local, central):
    """A sampler killed and started again repeats no number: all accepted readings of both runs."""
    lab.ingest(central)
    lab.publisher(local, central)
    sampler = lab.sampler(local, "bench=sim@42,count=400", PERIOD_MS=2)
    eventually(lambda: lab.database.count() > 50, "readings flow")
    sampler.restart()

    def second_run_is_accepted():
        ledger = Ledger(sampler.ledger_path)
        assert len(ledger.runs) == 2
        return sum(stream == ledger.runs[1] for stream, _ in ledger.accepted) == 400

    eventually(second_run_is_accepted, "the second run is accepted")
    ledger = Ledger(sampler.ledger_path)
    assert ledger.runs[0] != ledger.runs[1]
    stored = lab.database.rows()
    assert ledger.rows(ledger.accepted) - stored == {}, "accepted and missing"
    assert stored - ledger.rows() == {}, "stored twice, or never sampled"


def test_killed_while_it_starts(lab, flow):
    """A publisher killed before it is healthy has done no harm."""
    flow["publisher"].kill()
    for _ in range(5):
        flow["publisher"].start(healthy=False)
        flow["publisher"].kill()
    flow["publisher"].start()
    stored_exactly_once(lab, flow["sampler"], COUNT)
