"""PostgreSQL away, restarting, in recovery, newer, locked: back-pressure, and one line a change."""

import json
import threading
import time

import psycopg2
import pytest

from harness import Certificates, Peer, eventually
from harness.oracle import stored_exactly_once
from harness.peer import new_stream, readings, senml
from harness.usage import cpu_ns, wakeups

DAY_S = 86400
AWAY = "the database is away; nothing is answered, senders keep their readings"
THERE = "the database is there"


@pytest.fixture
def postgres(lab):
    return lab.use_postgres()


def said(service, message):
    """The events of a service's log with this message."""
    return [event for event in service.events() if event["msg"] == message]


def unanswered(peer, correlation):
    return not [
        m for m in peer.client.messages(peer.response) if getattr(m.properties, "CorrelationData", None) == correlation
    ]


def test_a_database_that_comes_later(lab, central):
    """ingest waits for it, says so once, answers nothing, and stores what it holds."""
    postgres = lab.use_postgres(start=False)
    ingest = lab.ingest(central, healthy=False)
    eventually(lambda: said(ingest, AWAY), "it says that the database is away")
    code, line = ingest.health()
    assert code != 0 and "refused" in line
    peer = Peer(lab.client(central))
    stream = new_stream()
    sent = peer.send(stream, 1, senml(readings(1, 3)), 3)
    begin = cpu_ns(ingest.pid), wakeups(ingest.pid)
    end = time.monotonic() + 2
    eventually(lambda: time.monotonic() >= end, "two seconds are over")
    assert unanswered(peer, sent)
    assert (cpu_ns(ingest.pid) - begin[0]) / 2e9 < 0.1, "it is busy"
    assert wakeups(ingest.pid) - begin[1] < 200, "it is busy"
    assert len(said(ingest, AWAY)) == 1
    postgres.start()
    ingest.wait_healthy()
    assert peer.batch(stream, 1, 3)["stored"] == [[stream, 1, 3]]
    assert lab.database.count() == 3
    assert len(said(ingest, THERE)) == 1


def test_a_name_that_has_no_address(lab, central, postgres):
    """The line says which name; the password of the URL is in no log."""
    url = "postgresql://dewpoint:sesame@nowhere.invalid:5432/dewpoint"
    ingest = lab.ingest(central, healthy=False, STORE_URL=url)
    eventually(lambda: said(ingest, AWAY), "it says that the database is away")
    assert "nowhere.invalid" in said(ingest, AWAY)[0]["error"]
    assert "sesame" not in ingest.stderr()


def test_the_second_host_is_tried(lab, central, postgres):
    """Several hosts in the URL: one that refuses does not keep it from the next."""
    url = postgres.url().replace("@127.0.0.1:", "@127.0.0.1:1,localhost:")
    lab.ingest(central, STORE_URL=url)
    peer = Peer(lab.client(central))
    stream = new_stream()
    assert peer.batch(stream, 1, 2)["stored"] == [[stream, 1, 2]]


def test_a_restart_in_the_flow(lab, local, central, postgres):
    """A clean restart of the server in the middle: nothing missing, nothing twice."""
    ingest = lab.ingest(central)
    lab.publisher(local, central, SPILL_AFTER_MS=300)
    sampler = lab.sampler(local, "bench=sim@42,count=2000", PERIOD_MS=1)
    eventually(lambda: lab.database.count() > 200, "readings flow")
    postgres.stop()
    eventually(lambda: said(ingest, AWAY), "it says that the database is away")
    postgres.start()
    stored_exactly_once(lab, sampler, 2000)
    assert len(said(ingest, THERE)) == 2 and len(said(ingest, AWAY)) <= 2


def test_its_sessions_are_terminated(lab, central, postgres):
    """An administrator ends the session: another one is opened, and batches are answered."""
    ingest = lab.ingest(central)
    peer = Peer(lab.client(central))
    stream = new_stream()
    peer.batch(stream, 1, 3)
    postgres.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dewpoint-ingest'"
    )
    eventually(lambda: len(said(ingest, THERE)) == 2, "another session")
    assert "administrator" in said(ingest, AWAY)[0]["error"]
    assert peer.batch(stream, 2, 3)["stored"] == [[stream, 2, 3]]
    assert lab.database.intervals(stream) == [(1, 4)] and lab.database.count() == 4


def test_a_server_in_recovery(lab, central, postgres):
    """A standby takes no rows: ingest waits until it is promoted."""
    ingest = lab.ingest(central)
    postgres.stop()
    (postgres.data / "standby.signal").touch()
    postgres.start()
    eventually(
        lambda: any("recovery" in event["error"] for event in said(ingest, AWAY)),
        "it says that the server is in recovery",
    )
    assert ingest.health()[0] != 0
    postgres.execute("SELECT pg_promote()")
    ingest.wait_healthy()
    peer = Peer(lab.client(central))
    stream = new_stream()
    assert peer.batch(stream, 1, 1)["stored"] == [[stream, 1, 1]]


def test_a_newer_schema_is_refused(lab, central, postgres):
    """At the start and in the middle: exit 1, both versions named, nothing stored."""
    running = lab.ingest(central)
    peer = Peer(lab.client(central))
    stream = new_stream()
    peer.batch(stream, 1, 1)
    postgres.execute("INSERT INTO dewpoint_schema (version) VALUES (7)")
    peer.send(stream, 2, senml(readings(2, 1)), 1)
    assert running.wait_exit(30) == 1
    late = lab.ingest(central, healthy=False)
    assert late.wait_exit(30) == 1
    for service in (running, late):
        (event,) = [e for e in service.events() if "database_version" in e]
        assert (event["database_version"], event["known_version"]) == ("7", "3")
    assert lab.database.count() == 1


def test_three_make_the_schema_at_once(lab, central, postgres):
    """Replicas that meet an empty database: one makes the tables, all find them."""
    ingests = [lab.ingest(central, healthy=False) for _ in range(3)]
    for ingest in ingests:
        ingest.wait_healthy()
    made = [event for ingest in ingests for event in said(ingest, "schema brought up to date")]
    assert len(made) == 1
    assert postgres.execute("SELECT version FROM dewpoint_schema ORDER BY version") == [(1,), (2,), (3,)]


def test_tables_of_somebody_else(lab, central, postgres):
    """A database that has a table `sensor` already is not touched, and the line says why."""
    postgres.execute("CREATE TABLE sensor (mine integer)")
    ingest = lab.ingest(central, healthy=False)
    eventually(lambda: said(ingest, AWAY), "it says what is wrong")
    assert "sensor" in said(ingest, AWAY)[0]["error"]
    tables = postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    assert tables == [("sensor",)]


def partitions(postgres):
    rows = postgres.execute(
        "SELECT tableoid::regclass::text, count(*) FROM reading GROUP BY 1 ORDER BY 1"
    )
    return dict(rows)


def day_name(seconds):
    return time.strftime("reading_%Y%m%d", time.gmtime(seconds))


def test_a_partition_a_day(lab, central, postgres):
    """Today's and tomorrow's are there before they are needed; an implausible time has its own."""
    ingest = lab.ingest(central)
    peer = Peer(lab.client(central))
    now = time.time()
    times = [now, now - DAY_S, now - 300 * DAY_S, now + 365 * DAY_S, 1e9]
    batch = [[{"bn": "climate/", "bt": ts, "n": "temperature", "v": 1}] for ts in times]
    stream = new_stream()
    assert peer.ask(stream, 1, senml(batch), len(times))["stored"] == [[stream, 1, len(times)]]
    named = {day_name(ts): 1 for ts in times[:3]}
    assert partitions(postgres) == {**named, "reading_default": 2}
    assert postgres.execute("SELECT to_regclass(%s)::text", day_name(now + DAY_S)) == [
        (day_name(now + DAY_S),)
    ]
    # When its day has come, what the default partition had of it moves.
    postgres.execute("SELECT dewpoint_partition(%s::timestamptz::date)", time.strftime("%FT%TZ", time.gmtime(times[3])))
    assert partitions(postgres) == {**named, day_name(times[3]): 1, "reading_default": 1}
    # Another session knows them.
    ingest.restart()
    assert peer.ask(stream, 6, senml(batch), len(times))["stored"] == [[stream, 6, len(times)]]
    assert sum(partitions(postgres).values()) == 10


def test_more_sensors_than_are_remembered(lab, central, postgres):
    """60,000 sensors at once: found or made together, and each has its reading."""
    lab.ingest(central)
    peer = Peer(lab.client(central))
    stream = new_stream()
    each, messages = 3000, 20
    for first in range(1, each * messages, each):
        batch = [
            [{"bn": f"s{seq}/", "bt": 1.7e9 + seq, "n": "t", "v": seq}]
            for seq in range(first, first + each)
        ]
        peer.send(stream, first, senml(batch), each)

    def all_answered():
        ranges = [entry for answer in peer.answers() for entry in answer.get("stored", [])]
        assert sum(count for _, _, count in ranges) >= each * messages, ranges
        return True

    eventually(all_answered, "every reading is answered", 60)
    sql = (
        "SELECT count(*), count(DISTINCT sensor), sum((name <> 's' || v2)::integer)"
        " FROM reading JOIN sensor ON sensor.id = reading.sensor"
    )
    assert postgres.execute(sql) == [(each * messages, each * messages, 0)]
    assert lab.database.intervals(stream) == [(1, each * messages)]


def test_a_long_query_does_not_stop_it(lab, central, postgres):
    """A partition cannot be made while somebody reads: rows go to the default one meanwhile."""
    ingest = lab.ingest(central)
    reader = postgres.connect()
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM reading")
    peer = Peer(lab.client(central))
    stream = new_stream()
    batch = [[{"bn": "climate/", "bt": time.time(), "n": "temperature", "v": 1}]]
    for seq in (1, 2):
        assert peer.ask(stream, seq, senml(batch), 1)["stored"] == [[stream, seq, 1]]
    reader.rollback()
    reader.close()
    assert partitions(postgres) == {"reading_default": 2}
    assert len(said(ingest, "cannot make the partition of a day, will try again")) == 1


def test_a_locked_stream(lab, central, postgres):
    """Somebody holds a stream's row: its batch waits for as long as that, and is stored."""
    lab.ingest(central)
    peer = Peer(lab.client(central))
    stream = new_stream()
    peer.batch(stream, 1, 1)
    holder = postgres.connect()
    with holder.cursor() as cursor:
        cursor.execute("SELECT FROM stream FOR UPDATE")
        sent = peer.send(stream, 2, senml(readings(2, 1)), 1)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        eventually(lambda: postgres.execute(waiting) == [(1,)], "ingest waits for the row")
    assert unanswered(peer, sent)
    holder.rollback()
    holder.close()
    assert peer.answer(sent)["stored"] == [[stream, 2, 1]]


def test_a_replica_that_hangs_in_copy(lab, central, postgres):
    """The server does not end it; who waits for its streams does, and its rows are not there."""
    ingest = lab.ingest(central)
    peer = Peer(lab.client(central))
    stream = new_stream()
    peer.batch(stream, 1, 1)
    hangs, goes_on = threading.Event(), threading.Event()

    class Frozen:
        def read(self, _size):
            hangs.set()
            goes_on.wait(100)
            return ""

    def replica():
        connection = psycopg2.connect(postgres.url(), application_name="dewpoint-ingest")
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT FROM stream FOR UPDATE")
                cursor.copy_expert("COPY reading (sensor, ts, clock) FROM STDIN", Frozen())
        except psycopg2.Error:
            pass
        finally:
            connection.close()

    thread = threading.Thread(target=replica)
    thread.start()
    try:
        assert hangs.wait(30)
        assert peer.answer(peer.send(stream, 2, senml(readings(2, 1)), 1), 60)["stored"] == [[stream, 2, 1]]
    finally:
        goes_on.set()
        thread.join(30)
    assert lab.database.intervals(stream) == [(1, 2)] and lab.database.count() == 2
    assert len(said(ingest, AWAY)) == 0


def test_tls(lab, central, tmp_path):
    """sslmode=verify-full: the name is checked though libpq is given an address."""
    good, other = Certificates(tmp_path / "good"), Certificates(tmp_path / "other")
    good.key.chmod(0o600)
    files = [f"ssl_cert_file={good.cert}", f"ssl_key_file={good.key}"]
    postgres = lab.use_postgres(settings=["ssl=on", *files])
    url = postgres.url().replace("127.0.0.1", "localhost") + "?sslmode=verify-full&sslrootcert="
    distrusting = lab.ingest(central, healthy=False, STORE_URL=f"{url}{other.ca}")
    eventually(lambda: said(distrusting, AWAY), "it does not trust the server")
    assert "certificate verify failed" in said(distrusting, AWAY)[0]["error"]
    distrusting.stop()
    lab.ingest(central, STORE_URL=f"{url}{good.ca}")
    peer = Peer(lab.client(central))
    stream = new_stream()
    # More than one record of TLS each way.
    assert peer.batch(stream, 1, 1000)["stored"] == [[stream, 1, 1000]]
    assert postgres.execute("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE application_name = 'dewpoint-ingest'") == [(True,)]


def test_it_stops_without_its_database(lab, central, postgres):
    """SIGTERM while the database is away, and while it hangs: a clean exit in time."""
    first, second = lab.ingest(central), lab.ingest(central)
    postgres.freeze()
    device = lab.client(central)
    device.publish("/data/bench", json.dumps({"temperature": 1}))
    first.stop()
    postgres.kill()
    eventually(lambda: said(second, AWAY), "it says that the database is away")
    second.stop()
