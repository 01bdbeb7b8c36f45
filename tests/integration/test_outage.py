"""The central broker away: the outbox remembers, the ring overflows visibly."""

import time

import pytest

from harness import Database, Ledger, eventually
from harness.oracle import stored_exactly_once

AWAY_S = 5


@pytest.fixture
def node(lab, local, central):
    """A publisher that spills early and a sampler of 1500 readings, flowing; (publisher, sampler)."""
    lab.ingest(central)
    publisher = lab.publisher(local, central, SPILL_AFTER_MS=500)
    sampler = lab.sampler(local, "bench=sim@42,count=1500", PERIOD_MS=4)
    eventually(lambda: lab.database.count() > 100, "readings flow")
    return publisher, sampler


def accepted(sampler):
    return len(Ledger(sampler.ledger_path).accepted)


def test_the_outbox_fills_and_drains(lab, central, node):
    """5 s without the central broker: readings are accepted into the outbox, then stored once."""
    publisher, sampler = node
    central.kill()
    away = time.monotonic()
    before = accepted(sampler)
    # While the broker is away, only the outbox can have accepted.
    eventually(lambda: accepted(sampler) > before + 300, "the outbox accepts")
    assert Database(publisher.outbox_path).count() > 0
    stored = lab.database.count()
    eventually(lambda: time.monotonic() - away >= AWAY_S, "the outage lasts")
    assert lab.database.count() == stored
    central.start()
    stored_exactly_once(lab, sampler, 1500)


def test_the_publisher_killed_during_an_outage(lab, central, node):
    """The outbox is on disk: SIGKILL while the broker is away loses no accepted reading."""
    publisher, sampler = node
    central.kill()
    before = accepted(sampler)
    eventually(lambda: accepted(sampler) > before + 200, "the outbox accepts")
    publisher.restart(healthy=False)
    before = accepted(sampler)
    eventually(lambda: accepted(sampler) > before + 200, "the new publisher accepts")
    central.start()
    stored_exactly_once(lab, sampler, 1500)


def test_the_whole_node_killed_during_an_outage(lab, local, central, node):
    """Sampler, publisher and local broker die with a full outbox: all accepted is stored."""
    publisher, sampler = node
    central.kill()
    before = accepted(sampler)
    eventually(lambda: accepted(sampler) > before + 200, "the outbox accepts")
    for part in (sampler, publisher, local):
        part.kill()
    local.start()
    publisher.start(healthy=False)
    central.start()
    ledger = Ledger(sampler.ledger_path)
    sure = ledger.rows(ledger.accepted)
    eventually(lambda: sure - lab.database.rows() == {}, "all that was accepted is stored")
    assert lab.database.rows() - ledger.rows() == {}, "stored twice, or never sampled"


def test_an_outbox_that_drained_is_empty(lab, central, node):
    """Readings leave the outbox once they are stored: nothing is left to send again."""
    publisher, sampler = node
    outbox = Database(publisher.outbox_path)
    assert outbox.count() == 0
    central.kill()
    eventually(lambda: outbox.count() > 200, "the outbox fills")
    central.start()
    stored_exactly_once(lab, sampler, 1500)
    eventually(lambda: outbox.count() == 0, "the outbox is empty")


@pytest.mark.tsan
def test_a_ring_that_overflows_says_so_at_the_centre(lab, local, central):
    """No publisher, a ring of 50: what fell out is in the ledger and counted lost, nothing else."""
    lab.ingest(central)
    publisher = lab.publisher(local, central, start=False)
    sampler = lab.sampler(local, "bench=sim@42,count=500", PERIOD_MS=1, RING_SIZE=50)
    eventually(lambda: len(Ledger(sampler.ledger_path).readings) == 500, "500 are sampled")
    publisher.start()

    def settled():
        ledger = Ledger(sampler.ledger_path)
        assert len(ledger.accepted) + len(ledger.dropped) == 500
        return ledger

    ledger = eventually(settled, "every reading is accepted or dropped")
    assert len(ledger.dropped) >= 400 and not ledger.dropped & ledger.accepted
    assert lab.database.rows() == ledger.rows(ledger.accepted)
    stream = ledger.runs[0]
    eventually(
        lambda: lab.database.lost_count(stream) == len(ledger.dropped), "the loss is counted"
    )
    numbers = {seq for first, last in lab.database.lost(stream) for seq in range(first, last + 1)}
    assert numbers == {seq for _, seq in ledger.dropped}


