"""The k-th statement between the pruner and PostgreSQL fails, for every k, and many a message.

Each time the run is one that counts, merges what was late, drops days and deletes rows, in a
copy of the same database, until k is beyond the last of it. Then what is kept is what a
recomputation from all that was ever stored says.
"""

import random
import time
from types import SimpleNamespace

import psycopg2
import pytest

from fault.postgres_proxy import PostgresProxy
from harness import BoardClock, Peer, eventually
from harness.history import History, Policy
from harness.peer import new_stream, senml
from harness.postgres import PostgresDatabase
from harness.pruning import DAY_S, order

SHORT = {"cut": 6, "refuse": 6, "stall": 4}  # so many in the short form, spread over the run
PARTS = 8  # of the whole form, each within its time
EACH = {"cut": 7, "refuse": 1, "stall": 1}  # in the whole form: all statements, some messages
LAST = {"cut": 2900, "refuse": 350, "stall": 350}  # about what two runs have
HOUR_S = 3600
POLICY = Policy(2 * DAY_S, ((60, 5 * DAY_S), (HOUR_S, 9 * DAY_S)))
OTHER = Policy(6 * HOUR_S, ((60, 3 * DAY_S), (HOUR_S, 9 * DAY_S)))
# A session that is given up without an answer is so after five seconds more.
OPTIONS = "?sslmode=disable&options=-cstatement_timeout%3D1000"


def pytest_generate_tests(metafunc):
    if "part" in metafunc.fixturenames:
        full = metafunc.config.getoption("--full")
        metafunc.parametrize("part", range(PARTS) if full else [0])


class Scene:
    """A database in which a run has much to do, and what was ever stored in it."""

    def __init__(self, lab):
        self.lab = lab
        self.postgres = lab.use_postgres()
        self.central = lab.broker()
        self.now_s = int(time.time()) // 60 * 60 + 5
        self.clock = BoardClock(lab.directory, wall_s=self.now_s - 3 * DAY_S)
        self.settings = {
            "RETENTION": POLICY.text(),
            "RETENTION_N1": OTHER.text(),
            "PRUNE_PAUSE_MS": 0,
            "CLOCK_FILE": self.clock.path,
        }
        self.history = History(POLICY, {"/data/n1": OTHER})
        chance = random.Random(1)
        ingest = lab.ingest(self.central)
        self._send(chance, 120, 7 * DAY_S, 3 * DAY_S)
        pruner = lab.pruner(self.central, **self.settings)
        assert order(lab.client(self.central), confirm=True)["outcome"] == "done"
        pruner.stop()
        self._send(chance, 120, 8 * DAY_S, 0)  # some of them are late
        ingest.stop()
        self.clock.reboot(wall_s=self.now_s)

    def _send(self, chance, n, oldest_s, youngest_s):
        for node in ("n0", "n1"):
            batch = []
            for _ in range(n):
                ms = (self.now_s - chance.randrange(youngest_s, oldest_s)) * 1000
                value = chance.randint(-400, 800) / 10
                sensor = chance.choice(("s0", "s1"))
                self.history.readings.append((f"/data/{node}", sensor, ms * 1000, {"temperature": value}))
                batch.append([{"bn": f"{sensor}/", "bt": ms / 1000, "n": "temperature", "u": "Cel", "v": value}])
            answer = Peer(self.lab.client(self.central), node).ask(new_stream(), 1, senml(batch), n)
            assert "stored" in answer, answer

    def check(self, database):
        ((now_us, counted_us),) = database.query("SELECT run_wall, counted_until FROM retention")
        assert counted_us > (self.now_s - 120) * 1_000_000
        self.history.check(database, now_us, counted_us)
        assert database.query("SELECT count(*) FROM late") == [(0,)]


def left_open(database):
    sql = "SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database()"
    sql += " AND application_name = 'dewpoint-pruner' AND state LIKE 'idle in transaction%'"
    return database.query(sql)


def climb(scene, kind, k, about=b""):
    """Whether there was a k-th."""
    lab, postgres = scene.lab, scene.postgres
    name = f"{kind}{k}"
    postgres_of_all = postgres.connect("postgres")
    postgres_of_all.autocommit = True
    postgres_of_all.cursor().execute(f"CREATE DATABASE {name} TEMPLATE dewpoint")
    postgres_of_all.close()
    database = PostgresDatabase(SimpleNamespace(connect=lambda: postgres.connect(name)))
    proxy = PostgresProxy(postgres.port, kind, k, about)
    url = postgres.url(name).replace(f":{postgres.port}/", f":{proxy.port}/") + OPTIONS
    settings = {"STORE_URL": url, "LOG_LEVEL": "debug", **scene.settings}
    pruner = lab.pruner(scene.central, healthy=False, **settings)
    client = lab.client(scene.central)
    try:
        eventually(lambda: 'filter="retention/run"' in pruner.stderr(), "it takes orders")
        report = order(client, confirm=True)
        assert report.get("outcome") == "done" and "reason" not in report, report
        scene.check(database)
        report = order(client, confirm=True)
        assert (report["outcome"], report["counted"], report["rollups"]) == ("done", 0, 0), report
        scene.check(database)
        pruner.wait_healthy()
        eventually(lambda: not left_open(database), "no transaction is left open")
        if proxy.spoiled:
            assert "cannot prune now" in pruner.stderr()
        pruner.stop()
    except (AssertionError, psycopg2.Error) as error:
        raise AssertionError(f"{kind} {k}, {proxy.spoiled}: {error}\n{pruner.stderr()[-3000:]}") from None
    finally:
        pruner.kill()
        client.close()
        proxy.close()
    return proxy.spoiled is not None


@pytest.mark.parametrize("kind", ["cut", "refuse", "stall"])
def test_every_call_of_the_pruner_to_postgresql_fails_once(lab, request, kind, part):
    """It goes on by itself, and keeps exactly what it should."""
    full = request.config.getoption("--full")
    scene = Scene(lab)
    step = PARTS * EACH[kind] if full else LAST[kind] // SHORT[kind]
    k = 1 + part * EACH[kind]
    while climb(scene, kind, k):
        k += step
    assert k > LAST[kind] // 2, "the run has become short"
    lab.end()
