"""Cases 2 and 3: the centre away, and what dies meanwhile."""

from harness import Ledger, eventually


def test_centre_away(run, away_s):
    away_s = run.seconds(away_s)
    run.name = f"centre away {away_s} s"
    run.start()
    for _ in run.moments(1, 0.2, 0.4):
        run.central.kill()
        run.lasts(away_s)
        run.central.start()
    run.finish()


def outbox_accepts(run):
    """While the centre is away, only the outbox can have accepted."""
    before = len(Ledger(run.sampler.ledger_path).accepted)
    eventually(
        lambda: len(Ledger(run.sampler.ledger_path).accepted) > before + 200,
        "the outbox accepts",
        poll_s=0.1,
    )


def test_centre_away_publisher_and_local_mosquitto_killed(run):
    """The case in which a bridge loses thousands."""
    run.start(SPILL_AFTER_MS=500)
    for _ in run.moments(1, 0.2, 0.4):
        run.central.kill()
        outbox_accepts(run)
        run.publisher.kill()
        run.local.kill()
        run.local.start()
        run.publisher.start(healthy=False)
        run.lasts(run.seconds(10))
        run.central.start()
    run.finish()


def test_centre_away_everything_on_the_node_killed(run):
    run.start(SPILL_AFTER_MS=500)
    for _ in run.moments(1, 0.2, 0.4):
        run.central.kill()
        outbox_accepts(run)
        run.kill_sampler()
        run.publisher.kill()
        run.local.kill()
        run.local.start()
        run.publisher.start(healthy=False)
        run.sampler.start(healthy=False)
        run.lasts(run.seconds(10))
        run.central.start()
    run.finish()


def test_acknowledged_messages_die_in_the_central_mosquitto(run):
    """ingest takes nothing, the broker acknowledges everything, and then the broker dies."""
    run.start()
    for _ in run.moments(2, 0.2, 0.6):
        run.ingests[0].freeze()
        run.lasts(run.seconds(5))
        run.central.kill()
        run.ingests[0].kill()
        run.central.start()
        run.ingests[0].start(healthy=False)
    run.finish()
