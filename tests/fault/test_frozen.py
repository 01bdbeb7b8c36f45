"""Case 5: alive for the kernel, dead for everyone else."""


def test_ingest_frozen(run):
    run.start()
    for _ in run.moments(1, 0.2, 0.4):
        run.ingests[0].freeze()
        run.lasts(run.seconds(20))
        run.ingests[0].thaw()
    run.finish()


def test_one_of_three_ingests_frozen(run):
    run.start(ingests=3)
    for _ in run.moments(1, 0.2, 0.4):
        run.ingests[1].freeze()
        run.lasts(run.seconds(20))
        run.ingests[1].thaw()
    run.finish()


def test_publisher_frozen(run):
    run.start()
    for _ in run.moments(1, 0.2, 0.4):
        run.publisher.freeze()
        run.lasts(run.seconds(20))
        run.publisher.thaw()
    run.finish()
