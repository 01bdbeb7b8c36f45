"""A version to come beside today's, on one database."""

from harness import eventually
from harness.service import ROOT

NEXT = ROOT / "build/next/bin/ingest"  # built with schema_next.sql as well


def ended(service, words):
    """It has ended by itself, with a line that says why."""
    eventually(lambda: not service.running(), f"{service.name} ends")
    assert service.wait_exit(1) == 1
    said = service.stderr().count(words)
    assert said == 1, f"{said} times: {words}"


def test_a_replica_with_a_newer_schema_beside_an_older_one(run):
    """The newer one brings the database up to date; the older one says so and leaves it alone."""
    run.start(ingests=2)
    old, new = run.ingests
    today = new.command[0]
    for _ in run.moments(1, 0.2, 0.4):
        new.kill()
        new.command[0] = str(NEXT)
        new.start(healthy=False)
        ended(old, "a newer version of a service has changed the database")
    run.finish()
    assert run.lab.database.query("PRAGMA user_version") == [(5,)]
    # A step back is refused, and changes nothing.
    old.command[0] = today
    before = run.lab.database.rows()
    old.spawn()
    ended(old, "the file was written by a newer version; upgrade this one")
    assert run.lab.database.rows() == before
