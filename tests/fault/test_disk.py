"""Case 6: disks that are full, read-only, or held by somebody else."""

import sqlite3

from harness import eventually


def says(service, words):
    eventually(lambda: words in service.stderr(), f"{service.name} says: {words}")


def health_says(service, words):
    def heard():
        code, line = service.health()
        assert code == 1 and words in line, line
        return True

    eventually(heard, f"{service.name}'s health says: {words}", 60)


def test_healthy_again_after_a_full_disk(run):
    """Although the centre has taken all meanwhile and nothing is left to be written."""
    volume = run.volume()
    run.start(OUTBOX=volume.folder / "outbox.db", SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.3):
        volume.fill()
        run.central.kill()
        says(run.publisher, "cannot write the outbox")
        run.central.start()
        run.when_sampled(run.count)
        eventually(lambda: run.lab.database.count() >= run.count, "all is stored live", 60)
        volume.free()
        run.publisher.wait_healthy()
    run.finish()


def test_disk_full_under_the_outbox(run):
    volume = run.volume()
    run.start(OUTBOX=volume.folder / "outbox.db", SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.3):
        volume.fill()
        run.central.kill()
        says(run.publisher, "cannot write the outbox")
        run.lasts(run.seconds(5))
        volume.free()
        says(run.publisher, "the outbox can be written again")
        run.central.start()
    run.finish()


def test_disk_full_under_the_outbox_and_the_centre_back_first(run):
    volume = run.volume()
    run.start(OUTBOX=volume.folder / "outbox.db", SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.3):
        run.central.kill()
        run.lasts(1)
        volume.fill()
        says(run.publisher, "cannot write the outbox")
        run.central.start()
        run.lasts(run.seconds(5))
        volume.free()
    run.finish()


def test_disk_full_under_the_database(run):
    volume = run.volume()
    run.lab.database_path = volume.folder / "broker.db"
    run.start(SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.3):
        volume.fill()
        says(run.ingests[0], "cannot store")
        run.lasts(run.seconds(10))
        volume.free()
        says(run.ingests[0], "storing again")
    run.finish()


def test_outbox_locked_by_another_process(run):
    """While it runs and while it starts: it says so, stops when asked, and goes on by itself."""
    run.start(SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.3):
        other = sqlite3.connect(run.publisher.outbox_path, isolation_level=None)
        eventually(lambda: locked(other), "the other process has the lock")
        run.central.kill()
        says(run.publisher, "cannot write the outbox")
        health_says(run.publisher, "another process holds the outbox's lock")
        run.publisher.stop()
        run.publisher.start(healthy=False)
        health_says(run.publisher, "another process holds its lock")
        run.publisher.stop()
        run.publisher.start(healthy=False)
        other.execute("ROLLBACK")
        other.close()
        run.central.start()
    run.finish()


def test_outbox_on_a_read_only_volume(run):
    """The publisher cannot start there and says so; what was accepted before is still there."""
    volume = run.volume()
    run.start(OUTBOX=volume.folder / "outbox.db", SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.3):
        run.central.kill()
        run.lasts(1)
        run.publisher.kill()
        volume.read_only(True)
        run.publisher.spawn()
        assert run.publisher.wait_exit(10) == 1
        says(run.publisher, "cannot use the outbox")
        volume.read_only(False)
        run.publisher.start(healthy=False)
        run.central.start()
    run.finish()


def test_database_on_a_read_only_volume(run):
    """ingest cannot start there and says so; nothing is answered that is not stored."""
    volume = run.volume()
    run.lab.database_path = volume.folder / "broker.db"
    run.start(SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.3):
        run.pruner.kill()
        run.ingests[0].kill()
        volume.read_only(True)
        run.ingests[0].spawn()
        assert run.ingests[0].wait_exit(10) == 1
        says(run.ingests[0], "cannot open the file")
        run.lasts(run.seconds(5))
        volume.read_only(False)
        run.ingests[0].start(healthy=False)
        run.pruner.start(healthy=False)
    run.finish()


def test_database_locked_by_another_process(run):
    run.start(SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.3):
        other = sqlite3.connect(run.lab.database_path, isolation_level=None)
        eventually(lambda: locked(other), "the other process has the lock")
        stored = run.lab.database.count()
        run.lasts(run.seconds(10))
        assert run.lab.database.count() == stored
        other.execute("ROLLBACK")
        other.close()
    run.finish()


def locked(connection):
    try:
        connection.execute("BEGIN IMMEDIATE")
        return True
    except sqlite3.OperationalError:
        return False
