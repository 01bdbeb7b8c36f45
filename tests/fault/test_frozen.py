"""Case 5: alive for the kernel, dead for everyone else, for longer than anybody waits: a lease is
good for 15 s, and PostgreSQL ends what idles in a transaction after 10 s."""

FROZEN_S = 20


def freeze_one(run, service):
    for _ in run.moments(1, 0.2, 0.4):
        service.freeze()
        run.lasts(FROZEN_S)
        service.thaw()


def test_ingest_frozen(run, store):
    run.start()
    freeze_one(run, run.ingests[0])
    run.finish()


def test_one_of_three_ingests_frozen(run, store):
    """What it has locked is the others' again."""
    run.start(ingests=3)
    freeze_one(run, run.ingests[1])
    run.finish()


def test_publisher_frozen(run):
    run.start()
    freeze_one(run, run.publisher)
    run.finish()
