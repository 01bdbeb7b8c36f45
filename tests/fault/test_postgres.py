"""What befalls PostgreSQL itself. Ingest with it: the cases that have a `store`."""

import os
import signal
import subprocess
import time

import pytest

from fault.run import COLUMNS
from harness import eventually
from harness.service import BIN

KILLS = 5
NODES = BIN.parent / "test" / "nodes"


@pytest.fixture(autouse=True)
def postgres(request, run):
    """A server of the case's own; ingest is ingest-postgres."""
    if request.node.get_closest_marker("small_disk") is None:
        return run.lab.use_postgres()
    return run.lab.use_postgres(directory=run.volume("320m").folder / "postgres")


def away(service):
    return service.stderr().count("the database is away")


def there(service):
    return service.stderr().count("the database is there")


def test_postgresql_killed(run, postgres):
    """The first process and its children, at once, and the server started again."""
    run.start()
    for _ in run.moments(KILLS):
        before = there(run.ingests[0])
        postgres.kill()
        postgres.start()
        eventually(lambda: there(run.ingests[0]) > before, "ingest is connected again")
    run.finish()


def test_postgresql_killed_under_three_ingests(run, postgres):
    run.start(ingests=3)
    for _ in run.moments(KILLS):
        postgres.kill()
        postgres.start()
    run.finish()


def test_postgresql_one_backend_killed(run, postgres):
    """SIGKILL of the session's process: the server ends all sessions and recovers."""
    sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'dewpoint-ingest'"
    run.start()
    # In the server's own numbers, which are ours: it has no PID namespace of its own.
    for _ in run.moments(KILLS):
        before = there(run.ingests[0])
        for (pid,) in run.lab.database.query(sql):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: there(run.ingests[0]) > before, "ingest is connected again")
    run.finish()


def test_postgresql_frozen(run, postgres):
    run.start()
    for _ in run.moments(1, 0.2, 0.4):
        postgres.freeze()
        run.lasts(40)  # ingest waits for an answer for 30 s
        postgres.thaw()
    run.finish()


def test_postgresql_and_ingest_killed_together(run, postgres):
    """Whatever one of them knew of a commit is gone with the other."""
    run.start()
    for _ in run.moments(KILLS):
        postgres.kill()
        run.ingests[0].kill()
        postgres.start()
        run.ingests[0].start(healthy=False)
    run.finish()


def test_postgresql_killed_under_a_backlog(lab, run, postgres, seed, add_row):
    """50 nodes, three ingests, transactions of thousands of rows: each row once."""
    begin = time.monotonic()
    nodes, readings = 50, 20000 if run.full else 4000
    planned = nodes * readings
    central = lab.broker()
    ingests = [lab.ingest(central) for _ in range(3)]
    command = [NODES, "--url", central.url(), "--nodes", nodes, "--readings", readings]
    command += ["--batch", 100, "--seed", seed]
    with open(lab.directory / "nodes", "wb") as ledger:
        process = subprocess.Popen([str(part) for part in command], stdout=ledger)
    try:
        for kill in range(KILLS):
            mark = planned * (kill + 1) // (KILLS + 2)
            eventually(lambda: lab.database.consumed() >= mark, f"{mark} are stored", 120)
            postgres.kill()
            ingests[kill % 3].kill()
            postgres.start()
            ingests[kill % 3].start(healthy=False)
        status = process.wait(300)
    finally:
        process.kill()
        process.wait(10)
    total = (lab.directory / "nodes").read_text(encoding="ascii").splitlines()[-1]
    words = dict(word.split("=") for word in total.split(" ") if "=" in word)
    answered = int(words["answered"])
    sql = "SELECT count(*), count(DISTINCT (sensor, ts)) FROM reading"
    ((rows, different),) = lab.database.query(sql)
    lost = sum(n for (n,) in lab.database.query("SELECT sum(lost) FROM stream"))
    lab.end()
    figures = [int(words["made"]), answered, rows, rows - different, answered - different, lost]
    figures.append(round(time.monotonic() - begin))
    add_row(dict(zip(COLUMNS, ["postgresql and ingests killed under a backlog", seed, *figures])))
    assert status == 0 and rows == different == answered == planned and lost == 0


@pytest.mark.small_disk
def test_postgresql_disk_full(run, postgres):
    """Its server refuses, or stops and is started again: nothing is answered meanwhile."""
    (volume,) = run.volumes
    run.start(SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.3):
        volume.fill()
        said = run.ingests[0].stderr
        eventually(lambda: "cannot store" in said() or away(run.ingests[0]), "ingest says so")
        run.lasts(run.seconds(10))
        volume.free()
        if not postgres.process.running():
            postgres.start()
        run.ingests[0].wait_healthy()
    run.finish()
