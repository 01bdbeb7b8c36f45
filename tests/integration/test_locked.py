"""Another process has locked the database: ingest says so, and waits."""

import fcntl
import sqlite3

import pytest

from harness import Peer, eventually
from harness.peer import new_stream


@pytest.fixture
def lock(lab, central):
    """A connection that has the database of a stopped ingest locked for writing."""
    lab.ingest(central).stop()
    other = sqlite3.connect(lab.database_path, isolation_level=None, timeout=10)
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


def test_ingest_starts_under_a_lock(lab, central, lock):
    """--healthcheck answers why, one line is logged, and the lock's end is enough."""
    ingest = lab.ingest(central, healthy=False)
    eventually(lambda: "locked by another process" in ingest.health()[1], "it says why")
    assert ingest.health()[0] == 1
    batch = Peer(lab.client(central))
    lock.execute("ROLLBACK")
    ingest.wait_healthy()
    lines = [e for e in ingest.events() if "locked by another process" in e["msg"]]
    assert len(lines) == 1 and lines[0]["level"] == "warn", lines
    assert "stored" in batch.batch(new_stream(), 1, 2)


def test_ingest_stops_under_a_lock(lab, central, lock):
    """SIGTERM is heard while it waits for the lock: exit status 0, in time."""
    ingest = lab.ingest(central, healthy=False)
    eventually(lambda: "locked" in ingest.health()[1], "it waits for the lock")
    ingest.stop()


def test_what_cannot_be_opened_ends_it(lab, central):
    """A folder that is not there is no lock: exit status 1, and the log says which file."""
    lab.database_path = lab.directory / "missing" / "broker.db"
    ingest = lab.ingest(central, healthy=False)
    assert ingest.wait_exit(20) == 1
    assert [e for e in ingest.events() if e["level"] == "error" and "missing" in e["file"]]


def test_a_damaged_file_that_cannot_be_set_aside(lab, central):
    """An idle ingest says so as soon as it knows, not when the first reading comes."""
    ingest = lab.ingest(central)
    path = lab.database_path
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'reading'")
    page = page.fetchone()[0]
    connection.close()
    with path.with_name("broker.db-lock").open("r+b") as lock:
        # As a service in a transaction does: the file may not be replaced.
        fcntl.flock(lock, fcntl.LOCK_SH)
        with path.open("r+b") as file:
            file.seek(4096 * (page - 1))
            file.write(b"\xff" * 4096)
        note = path.stat()
        path.with_name("broker.db-suspect").write_text(f"{note.st_dev} {note.st_ino}\n")
        eventually(lambda: ingest.health()[0] == 1, "its health says so", 30)
        assert "locked by another process" in ingest.health()[1]
    ingest.wait_healthy()
    assert [e for e in ingest.events() if "was set aside" in e["msg"]]
