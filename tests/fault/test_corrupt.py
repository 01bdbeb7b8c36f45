"""Case 8: damaged files. One line says so, the file is set aside, nothing is overwritten."""

import os
import sqlite3
import subprocess

import pytest

from fault import contents
from harness import Database, Ledger, eventually


def header(path, random):
    """The first page is noise."""
    with path.open("r+b") as file:
        file.write(random.randbytes(512))


def noise(path, random):
    """Everything is noise, the log as well."""
    for part in (path, path.with_name(path.name + "-wal")):
        if part.exists() and part.stat().st_size:
            with part.open("r+b") as file:
                file.write(random.randbytes(part.stat().st_size))


def half(path, _random):
    """The second half is gone, and the log."""
    os.truncate(path, path.stat().st_size // 2 // 4096 * 4096)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        os.truncate(log, 0)


def empty(path, _random):
    os.truncate(path, 0)


def aside(path):
    """The files that were set aside, without their logs."""
    return [p for p in path.parent.glob(path.name + ".corrupt-*") if not p.name.endswith("-wal")]


def checkpoint(path):
    """Everything is in the file itself: what is damaged there is damaged."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def says_once(services, words):
    said = sum(service.stderr().count(words) for service in services)
    assert said == 1, f"{said} times: {words}"


def accepted(run):
    return len(Ledger(run.sampler.ledger_path).accepted)


def written(run):
    """What may have been written to a damaged file before its damage was met."""
    return set().union(*(Ledger(sampler.ledger_path).accepted for sampler in run.samplers))


@pytest.mark.parametrize("damage", [header, noise, half, empty])
def test_outbox_damaged_while_the_publisher_is_away(run, damage):
    run.name = f"outbox damaged: {damage.__name__}"
    run.start(SPILL_AFTER_MS=200)
    for _ in run.moments(1, 0.2, 0.3):
        run.central.kill()
        before = accepted(run)
        eventually(lambda: accepted(run) > before + 500, "the outbox accepts", poll_s=0.2)
        run.publisher.kill()
        path = run.publisher.outbox_path
        checkpoint(path)
        inside = contents.of_outbox(path)
        damage(path, run.random)
        content = path.read_bytes()
        run.publisher.start(healthy=False)
        eventually(lambda: aside(path), "it is set aside")
        run.central.start()
    run.finish(forgiven=inside)
    assert [p.read_bytes() for p in aside(path)] == [content]
    says_once([run.publisher], "was damaged")


def test_outbox_damaged_while_it_is_used(run):
    """More than fits in the publisher's cache, so that it meets the damage."""
    run.start(SPILL_AFTER_MS=200)
    for _ in run.moments(1, 0.2, 0.3):
        run.central.kill()
        for _ in range(3):
            run.add_sampler()
        path = run.publisher.outbox_path
        eventually(lambda: Database(path).count() > 16000, "the outbox fills", 120, poll_s=0.5)
        with contents.still(run.publisher):
            inside = contents.of_outbox(path)
            noise(path, run.random)
        run.central.start()
        eventually(lambda: aside(path), "it is set aside", 60)
        inside |= written(run)
    run.finish(forgiven=inside)
    says_once([run.publisher], "was damaged")


def test_outbox_damaged_where_nothing_can_be_replaced(run):
    """Readings go on from memory, and a new one is begun once the folder can be written."""
    volume = run.volume()
    run.start(SPILL_AFTER_MS=200, OUTBOX=volume.folder / "outbox.db")
    for _ in run.moments(1, 0.2, 0.3):
        run.central.kill()
        for _ in range(3):
            run.add_sampler()
        path = run.publisher.outbox_path
        eventually(lambda: Database(path).count() > 16000, "the outbox fills", 120, poll_s=0.5)
        parts = [p for p in (path, path.with_name(path.name + "-wal")) if p.exists()]
        files = [part.open("r+b") for part in parts]
        folder = str(volume.folder)
        for words in (["--bind", folder, folder], ["-o", "remount,bind,ro", folder]):
            subprocess.run(["mount", *words], check=True, timeout=10)
        with contents.still(run.publisher):
            inside = contents.of_outbox(path)
            for file in files:
                file.write(run.random.randbytes(os.fstat(file.fileno()).st_size))
                file.close()
        run.central.start()
        eventually(lambda: "cannot be set aside" in run.publisher.stderr(), "it says so", 60)
        eventually(lambda: "no new one" in run.publisher.health()[1], "its health says so")
        inside |= written(run)
        subprocess.run(["umount", folder], check=True, timeout=10)
        eventually(lambda: aside(path), "it is set aside", 60)
        run.publisher.wait_healthy()
    run.finish(forgiven=inside)
    says_once([run.publisher], "was damaged")


@pytest.mark.parametrize("damage", [header, noise, half, empty])
def test_database_damaged_while_ingest_is_away(run, damage):
    run.name = f"database damaged: {damage.__name__}"
    run.start()
    for _ in run.moments(1, 0.2, 0.3):
        run.pruner.kill()
        run.ingests[0].kill()
        path = run.lab.database_path
        checkpoint(path)
        inside = contents.of_database(path)
        damage(path, run.random)
        content = path.read_bytes()
        run.ingests[0].start(healthy=False)
        run.pruner.start(healthy=False)
    run.finish(forgiven=inside)
    assert content in [p.read_bytes() for p in aside(path)]
    says_once(run.ingests, "is damaged and was set aside")


@pytest.mark.parametrize("how", ["noise", "deleted"])
def test_database_lost_under_three_ingests_and_a_pruner(run, how):
    """None goes on with the old file."""
    run.name = f"database {how} under 3 ingests and a pruner"
    run.start(ingests=3)
    path = run.lab.database_path
    for _ in run.moments(1, 0.2, 0.3):
        held = path.open("rb")  # no other file gets its number
        old = number(os.fstat(held.fileno()))
        with contents.still(*run.ingests, run.pruner):
            inside = contents.of_database(path)
            if how == "noise":
                noise(path, run.random)
            else:
                path.unlink()
        eventually(lambda: path.exists() and number(path.stat()) != old, "a new one is begun")
    # The pruner and the plain lease look at it at their own pace.
    run.pruner.kill()
    run.pruner.start()
    for service in [*run.ingests, run.pruner]:
        eventually(lambda: old not in open_files(service), f"{service.name} has left the old file")
    held.close()
    inside |= written(run)
    run.finish(forgiven=inside)
    assert len(aside(path)) == (how == "noise")
    if how == "noise":
        says_once(run.ingests, "is damaged and was set aside")


def number(status):
    """What tells a file from every other."""
    return (status.st_dev, status.st_ino)


def open_files(service):
    """The numbers of every file that a process has open."""
    folder = f"/proc/{service.pid}/fd"
    found = set()
    for name in os.listdir(folder):
        try:
            found.add(number(os.stat(f"{folder}/{name}")))
        except FileNotFoundError:
            pass  # closed between the two calls
    return found
