"""Case 1: SIGKILL and restart of each part, at random moments of the flow."""

from harness import Ledger, eventually

KILLS = 5


def test_sampler_killed(run):
    """What it had accepted is there; what it had not is gone with it, and may be."""
    run.start()
    for _ in run.moments(3):
        run.kill_sampler()
        run.sampler.start()
        # Each run counts anew; the last one is left to take all that was planned.
        before = run.sampled()
        eventually(lambda: run.sampled() > before, "the new sampler samples")
    eventually(
        lambda: len(run.judge().problems) == 0 and last_run(run) >= run.count,
        "the last sampler has taken its readings",
        240,
        poll_s=0.5,
    )
    run.finish()


def last_run(run):
    ledger = Ledger(run.sampler.ledger_path)
    return sum(stream == ledger.runs[-1] for stream, _ in ledger.readings)


def test_publisher_killed(run):
    run.start(SPILL_AFTER_MS=300)
    for _ in run.moments(KILLS):
        run.publisher.restart(healthy=False)
    run.finish()


def test_local_mosquitto_killed(run):
    run.start()
    for _ in run.moments(KILLS):
        run.local.kill()
        run.local.start()
    run.finish()


def test_central_mosquitto_killed(run):
    run.start()
    for _ in run.moments(KILLS):
        run.central.kill()
        run.central.start()
    run.finish()


def test_ingest_killed(run, store):
    run.start()
    for _ in run.moments(KILLS):
        run.ingests[0].restart(healthy=False)
    run.finish()


def test_three_ingests_killed_in_turn(run, store):
    run.start(ingests=3)
    for turn, _ in enumerate(run.moments(6)):
        run.ingests[turn % 3].restart(healthy=False)
    run.finish()


def test_pruner_killed(run):
    run.start()
    for _ in run.moments(KILLS):
        run.pruner.restart(healthy=False)
    run.finish()
