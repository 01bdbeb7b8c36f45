"""The k-th message or statement between ingest and PostgreSQL fails, for every k.

Each time a database of its own goes from nothing to readings of several streams and days,
a gap, plain messages and a dead letter, until k is beyond the last of the scenario.
"""

import json
import time

import psycopg2
import pytest

from fault.postgres_proxy import PostgresProxy
from harness import Peer, eventually
from harness.peer import new_stream, readings, senml

SHORT = 6  # so many of them in the short form, spread over the scenario
PARTS = 4  # of the whole form, each within its time
LAST = {"cut": 300, "refuse": 100}  # about what the scenario has
DAY_S = 86400
# For the short form: of each exchange one that stands in its middle.
STATEMENTS = [
    b"INSERT INTO lease",
    b"INSERT INTO sensor",
    b"INSERT INTO sensor (topic, name, part)",
    b"INSERT INTO channel",
    b"COPY reading",
    b"UPDATE stream",
    b"INSERT INTO dead_letter",
    b"SELECT late_before",
]


def pytest_generate_tests(metafunc):
    if "part" in metafunc.fixturenames:
        full = metafunc.config.getoption("--full")
        metafunc.parametrize("part", range(PARTS) if full else [0])


class Rows:
    """One database of the server, asked beside the proxy."""

    def __init__(self, postgres, name):
        self.connection = psycopg2.connect(postgres.url(name))
        self.connection.autocommit = True

    def ask(self, sql, *parameters):
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return cursor.fetchall()

    def holder(self):
        """Of the lease for plain messages; none before there are tables."""
        if self.ask("SELECT to_regclass('lease')") == [(None,)]:
            return []
        return self.ask("SELECT holder FROM lease WHERE name = 'plain' AND expires > clock_timestamp()")


def today(first, count):
    """Readings of two rows each."""
    now = time.time() // DAY_S * DAY_S
    batch = [[{"n": f"q{n}", "v": seq} for n in range(8)] for seq in range(first, first + count)]
    for seq, records in enumerate(batch, first):
        records[0] |= {"bn": "roof/", "bt": now + seq}
    return senml(batch)


def all_answered(peer, rows, readings_sent):
    """Until so many are answered; what is answered as stored is in the database."""

    def answered():
        runs = {tuple(run) for answer in peer.answers() for run in answer.get("stored", [])}
        for stream, first, count in runs:
            sql = "SELECT stored @> int8range(%s, %s) FROM stream WHERE stream = %s"
            assert rows.ask(sql, first, first + count, bytes.fromhex(stream)) == [(True,)]
        return {(stream, seq) for stream, first, count in runs for seq in range(first, first + count)}

    eventually(lambda: len(answered()) >= readings_sent, f"{readings_sent} are answered")


def scenario(rows, central, client, ingest, k):
    """What a centre meets; each step waits until it is answered or can be seen."""
    eventually(rows.holder, "somebody has the lease")
    peer, node, plain = Peer(client, f"node{k}"), f"/data/node{k}", f"/data/plain{k}"
    of_topic = "SELECT count(*), count(DISTINCT (sensor, ts)) FROM reading JOIN sensor"
    of_topic += " ON sensor.id = sensor WHERE topic = %s"

    def plain_is_stored():
        """A device repeats its value: the session at the broker may come later than the lease."""
        client.publish(plain, json.dumps({"temperature": k}))
        return rows.ask(of_topic, plain)[0][0] >= 1

    eventually(plain_is_stored, "a plain message is stored", poll_s=0.2)
    first, second = new_stream(), new_stream()
    peer.send(first, 1, senml(readings(1, 3)), 3)
    peer.send(second, 1, today(1, 2), 2)
    peer.send(first, 4, senml(readings(4, 2, "cellar")), 2)
    all_answered(peer, rows, 7)
    # 6 and 7 are gone for good; what no reading can be made of is kept as it is.
    peer.send(first, 8, senml(readings(8, 1)), 1, low=8)
    all_answered(peer, rows, 8)
    peer.answer(peer.send(first, 9, b"no batch", 1))
    ingest.wait_healthy()
    assert rows.ask(of_topic, node) == [(8 + 2, 8 + 2)]
    parts = "SELECT part, count(*) FROM sensor JOIN channel ON sensor = id WHERE name = 'roof' GROUP BY 1 ORDER BY 1"
    assert rows.ask(parts) == [(0, 6), (1, 2)]
    stored = "SELECT stored::text FROM stream WHERE stream = %s"
    assert rows.ask(stored, bytes.fromhex(second)) == [("{[1,3)}",)]
    assert rows.ask(stored, bytes.fromhex(first)) == [("{[1,10)}",)]
    assert rows.ask("SELECT sum(count) FROM lost") == [(2,)]
    assert rows.ask("SELECT count(*) FROM dead_letter") == [(1,)]
    assert rows.holder()


def left_open(rows):
    sql = "SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database()"
    sql += " AND application_name = 'dewpoint-ingest' AND state LIKE 'idle in transaction%'"
    return rows.ask(sql)


def climb(lab, central, postgres, kind, k, about=b""):
    """Whether there was a k-th."""
    name = f"{kind}{k}_{STATEMENTS.index(about) if about else 0}"
    postgres.execute(f"CREATE DATABASE {name}")
    proxy = PostgresProxy(postgres.port, kind, k, about)
    rows, client = Rows(postgres, name), lab.client(central)
    url = postgres.url(name).replace(f":{postgres.port}/", f":{proxy.port}/") + "?sslmode=disable"
    ingest = lab.ingest(central, healthy=False, STORE_URL=url)
    try:
        scenario(rows, central, client, ingest, k)
        eventually(lambda: not left_open(rows), "no transaction is left open")
        if proxy.spoiled and kind == "cut":
            assert "the database is away" in ingest.stderr()
        ingest.stop()
    except (AssertionError, psycopg2.Error) as error:
        raise AssertionError(f"{kind} {k}, {proxy.spoiled}: {error}\n{ingest.stderr()[-3000:]}") from None
    finally:
        ingest.kill()
        client.close()
        rows.connection.close()
        proxy.close()
    return proxy.spoiled is not None


def test_each_exchange_is_refused_once(lab):
    """As below, where a transaction would be left open."""
    postgres, central = lab.use_postgres(), lab.broker()
    for about in STATEMENTS:
        assert climb(lab, central, postgres, "refuse", 1, about), f"{about} was never said"
    lab.end()


@pytest.mark.parametrize("kind", ["cut", "refuse"])
def test_every_call_to_postgresql_fails_once(lab, request, kind, part):
    """It says what is wrong, goes on by itself, and what it has answered is stored, once."""
    full = request.config.getoption("--full")
    postgres, central = lab.use_postgres(), lab.broker()
    step = PARTS if full else LAST[kind] // SHORT
    k = 1 + part
    while climb(lab, central, postgres, kind, k):
        k += step
    assert k > LAST[kind] // 2, "the scenario has become short"
    lab.end()
