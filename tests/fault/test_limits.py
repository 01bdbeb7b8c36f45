"""Memory and disk that end: what does not fit is counted, and the centre hears of it."""

from harness import Ledger, eventually

SMALL = {"OUTBOX_MAX_BYTES": 262144, "SPILL_AFTER_MS": 200}


def ledger(run):
    return Ledger(run.sampler.ledger_path)


def test_ring_overflows(run):
    """The publisher is away and the sampler keeps 500: the oldest go, counted."""
    run.start(sampler={"RING_SIZE": 500})
    for _ in run.moments(1, 0.2, 0.4):
        run.publisher.kill()
        run.lasts(run.seconds(5))
        run.publisher.start()
    run.finish()
    assert len(ledger(run).readings) - run.lab.database.count() > 500


def test_outbox_full_refuse(run):
    """The outbox is full: what is new stays with the sampler, whose ring then overflows."""
    run.start(sampler={"RING_SIZE": 500}, **SMALL)
    for _ in run.moments(1, 0.1, 0.2):
        run.central.kill()
        eventually(lambda: "the outbox is full" in run.publisher.stderr(), "it is full", 60)
        eventually(lambda: ledger(run).dropped, "the ring overflows", 60, poll_s=0.2)
        assert run.publisher.outbox_path.stat().st_size < 4 * SMALL["OUTBOX_MAX_BYTES"]
        run.central.start()
    run.finish()


def test_outbox_full_drop_oldest(run):
    """The outbox is full: the oldest go, and the centre is told which."""
    run.start(OUTBOX_FULL="drop-oldest", **SMALL)
    for _ in run.moments(1, 0.1, 0.2):
        run.central.kill()
        eventually(lambda: "are dropped" in run.publisher.stderr(), "readings are dropped", 60)
        run.lasts(run.seconds(5))
        assert run.publisher.outbox_path.stat().st_size < 4 * SMALL["OUTBOX_MAX_BYTES"]
        run.central.start()
    run.when_sampled(run.count)
    sampled = ledger(run)
    run.finish(forgiven=set(sampled.readings))
    # Whole runs of numbers, one after the other: none is picked from among the newer ones.
    stored = run.lab.database.rows()
    lost = sorted(key[1] for key in sampled.readings if sampled.row(key) not in stored)
    assert 0 < len(lost) < run.count / 2
    assert lost == list(range(lost[0], lost[-1] + 1))
