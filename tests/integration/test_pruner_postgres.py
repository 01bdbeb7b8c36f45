"""retention-pruner-postgres: what PostgreSQL does differently from a file."""

import time

import pytest

from fault.postgres_proxy import PostgresProxy
from harness import eventually
from harness.pruning import (
    DAY_S,
    at,
    minutes,
    order,
    reports,
    said,
    send,
    store,
    temperatures,
    watching,
)
from harness.service import ROOT

CANNOT = "cannot prune now, trying again"
AGAIN = "pruning again"


@pytest.fixture
def postgres(lab):
    return lab.use_postgres()


def tables(postgres):
    """How many readings each table has that has any, and which there are besides."""
    names = postgres.execute(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'reading'::regclass"
    )
    rows = dict(postgres.execute("SELECT tableoid::regclass::text, count(*) FROM reading GROUP BY 1"))
    return {name: rows.get(name, 0) for (name,) in names}


def day_name(age_s):
    return time.strftime("reading_%Y%m%d", time.gmtime(time.time() - age_s))


def test_whole_days_go_with_their_partition(lab, central, postgres):
    """Partitions are dropped; what is late for them is stored, counted, and goes; none comes back."""
    store(lab, central, [at(10 * DAY_S, 1), at(3 * DAY_S, 2), at(DAY_S, 3), at(0, 4)])
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:2d,1m:1y")
    eventually(lambda: reports(client), "the run is over")
    assert temperatures(lab) == [3, 4]
    left = tables(postgres)
    assert left[day_name(DAY_S)] == left[day_name(0)] == 1
    assert day_name(10 * DAY_S) not in left and day_name(3 * DAY_S) not in left
    # To a session that knows the partition of that day, and to one that does not.
    send(lab, central, [at(3 * DAY_S, 5)])
    lab.ingest(central)
    send(lab, central, [at(10 * DAY_S, 6), at(4 * DAY_S, 7)])
    assert tables(postgres) == {**left, "reading_default": 3}
    report = order(client)
    assert (report["counted"], report["readings"]) == (3, 3)
    assert tables(postgres) == left
    assert sum(count for count, *_ in minutes(lab)) == 6  # all but that of this minute


def test_a_node_whose_readings_go_earlier(lab, central, postgres):
    """Its rows go one by one from days that others still have."""
    old = [at(3 * DAY_S, 1), at(DAY_S, 2), at(0, 3)]
    lab.ingest(central)
    for node in ("bench", "orangepi-0"):
        send(lab, central, old, node)
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:5d,1m:1y", RETENTION_ORANGEPI_0="raw:2h,1m:2d")
    eventually(lambda: reports(client), "a run")
    assert reports(client)[0]["readings"] == 2
    assert temperatures(lab) == [1, 2, 3, 3]
    assert tables(postgres)[day_name(3 * DAY_S)] == 1
    sql = "SELECT topic, count(*) FROM reading_1m GROUP BY topic ORDER BY topic"
    assert lab.database.query(sql) == [("/data/bench", 2), ("/data/orangepi-0", 1)]


def test_a_day_stays_for_a_node_that_is_yet_to_come(lab, central, postgres):
    """Its first readings may arrive in the middle of a run, and are old: their day is there."""
    day = day_name(3 * DAY_S)
    store(lab, central, [at(3 * DAY_S, 1), at(0, 2)])
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:2h,1m:1y", RETENTION_ORANGEPI_0="raw:5d,1m:1y")
    eventually(lambda: reports(client), "a run")
    assert temperatures(lab) == [2]
    assert tables(postgres)[day] == 0
    send(lab, central, [at(3 * DAY_S, 3)], "orangepi-0")
    order(client)
    assert temperatures(lab) == [2, 3]
    assert tables(postgres)[day] == 1


def test_a_late_reading_beside_those_of_its_minute(lab, central, postgres):
    """Raw readings are still there: the late one is stored once and counted once."""
    age_s = 3600 + int(time.time()) % 60 - 1
    early, late = [at(age_s, 2), at(age_s - 30, 4)], [at(age_s - 40, 9), at(age_s, 1)]
    late[1][0]["bt"] = early[0][0]["bt"]
    store(lab, central, early)
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:2d,1m:1y,1h:10y")
    eventually(lambda: reports(client), "a run")
    assert minutes(lab) == minutes(lab, "reading_1h") == [(2, 2, 4, 6, 2, 4)]
    send(lab, central, late)
    assert postgres.execute("SELECT count(*) FROM late") == [(2,)]
    assert order(client)["counted"] == 2
    # Of two at one instant the least is the first.
    assert minutes(lab) == minutes(lab, "reading_1h") == [(4, 1, 9, 16, 1, 9)]
    assert temperatures(lab) == [1, 2, 4, 9]
    assert order(client)["counted"] == 0
    assert minutes(lab) == [(4, 1, 9, 16, 1, 9)]


def test_who_is_in_the_middle_of_storing_is_waited_for(lab, central, postgres):
    """The mark is not moved meanwhile: what that transaction stores is counted with the others."""
    store(lab, central, [at(3600, 1)])
    storing = postgres.connect()
    with storing.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(1146118776)")
        cursor.execute("SELECT late_before FROM retention")
        assert cursor.fetchone() == (0,)
        cursor.execute(
            "INSERT INTO reading (sensor, ts, clock, temperature)"
            " SELECT sensor, ts + interval '1 ms', 0, 5 FROM reading"
        )
    client = watching(lab, central)
    pruner = lab.pruner(central, healthy=False, RETENTION="raw:2d,1m:1y,1h:10y")
    eventually(lambda: said(pruner, CANNOT), "it waits")
    assert "lock timeout" in said(pruner, CANNOT)[0]["error"]
    # Others go on storing.
    send(lab, central, [at(3600 - 1, 7)])
    storing.commit()
    storing.close()
    eventually(lambda: reports(client), "the run is over")
    assert minutes(lab, "reading_1h")[0][3] + sum(row[3] for row in minutes(lab, "reading_1h")[1:]) == 13
    assert postgres.execute("SELECT count(*) FROM late") == [(0,)]


def waits_for(postgres, table):
    sql = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
    return postgres.execute(sql, table)[0][0]


def test_what_is_stored_in_the_middle_of_a_count_is_merged(lab, central, postgres):
    """Between looking at a span and forgetting what was late in it: that one is not forgotten."""
    # Counting begins at the begin of this reading's day.
    store(lab, central, [at(int(time.time()) % DAY_S + DAY_S - 5, 1)])
    client = watching(lab, central)
    storing = postgres.connect()
    cursor = storing.cursor()
    cursor.execute("LOCK TABLE late IN SHARE MODE")
    lab.pruner(central, healthy=False, RETENTION="raw:5d,1m:1y,1h:10y")

    def stored_while_it_waits():
        """It waits for 300 ms and then begins again: stored just then would show nothing."""
        eventually(lambda: waits_for(postgres, "late"), "the count waits", poll_s=0.005)
        cursor.execute("SAVEPOINT without")
        cursor.execute(
            "WITH r AS (INSERT INTO reading (sensor, ts, clock, temperature)"
            " SELECT sensor, ts + interval '1 ms', 0, 5 FROM reading RETURNING *)"
            " INSERT INTO late (sensor, ts, temperature) SELECT sensor, ts, temperature FROM r"
        )
        if not waits_for(postgres, "late"):
            cursor.execute("ROLLBACK TO SAVEPOINT without")
            return False
        storing.commit()
        return True

    eventually(stored_while_it_waits, "stored in the middle of a count")
    storing.close()
    eventually(lambda: reports(client), "the run is over")
    assert minutes(lab) == minutes(lab, "reading_1h") == [(2, 1, 5, 6, 1, 5)]
    assert reports(client)[0]["counted"] == 2


def test_a_long_query_keeps_a_day_not_ingest(lab, central, postgres):
    """Who reads keeps the partition from being dropped; ingest goes on storing all the while."""
    store(lab, central, [at(10 * DAY_S, 1), at(0, 2)])
    reader = postgres.connect()
    with reader.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM reading")
    pruner = lab.pruner(central, healthy=False, RETENTION="raw:2d")
    eventually(lambda: said(pruner, CANNOT), "it waits")
    send(lab, central, [at(0, 3)])
    assert len(said(pruner, CANNOT)) == 1
    reader.rollback()
    reader.close()
    eventually(lambda: temperatures(lab) == [2, 3], "the old reading is gone")
    eventually(lambda: said(pruner, AGAIN), "it says so")


def test_a_schema_of_version_1_with_rows(lab, central, postgres):
    """The pruner says once that it waits; ingest migrates; what was there is counted and goes."""
    folder = ROOT / "services/ingest/postgres"
    postgres.execute((folder / "schema.sql").read_text(encoding="utf-8"))
    postgres.execute("CREATE TABLE dewpoint_schema (version integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())")
    postgres.execute("INSERT INTO dewpoint_schema (version) VALUES (1)")
    postgres.execute("INSERT INTO sensor (topic, name) VALUES ('/data/bench', 'climate')")
    postgres.execute("INSERT INTO channel VALUES (1, 0, 'temperature', 'Cel')")
    postgres.execute("SELECT dewpoint_partition((now() - interval '10 days')::date)")
    postgres.execute(
        "INSERT INTO reading (sensor, ts, clock, temperature) SELECT 1, now() - age, 0, 3"
        " FROM unnest(ARRAY['10 days', '300 days', '1 day']::interval[]) AS age"
    )
    client = watching(lab, central)
    pruner = lab.pruner(central, healthy=False, RETENTION="raw:2d,1m:1y,1h:10y")
    eventually(lambda: said(pruner, CANNOT), "it waits")
    assert "version 1" in said(pruner, CANNOT)[0]["error"]
    assert pruner.health()[0] != 0
    lab.ingest(central)
    eventually(lambda: reports(client), "a run")
    assert len(said(pruner, CANNOT)) == len(said(pruner, AGAIN)) == 1
    assert temperatures(lab) == [3]
    assert minutes(lab) == minutes(lab, "reading_1h") == [(1, 3, 3, 3, 3, 3)] * 3


@pytest.mark.parametrize("step", [b"SET lock_timeout", b"to_regclass", b"encode(id"])
def test_a_session_that_could_not_be_prepared_is_replaced(lab, central, postgres, step):
    """Not used half prepared: the next one gets its limits and its store's name as well."""
    store(lab, central, [at(0, 1)])
    counting = PostgresProxy(postgres.port, "refuse", 1_000_000, b"SET lock_timeout")
    refusing = PostgresProxy(counting.port, "refuse", 1, step)
    url = postgres.url().replace(f":{postgres.port}/", f":{refusing.port}/") + "?sslmode=disable"
    client = watching(lab, central)
    pruner = lab.pruner(central, healthy=False, RETENTION="raw:2d", STORE_URL=url)
    eventually(lambda: reports(client), "a run")
    assert refusing.spoiled and len(said(pruner, CANNOT)) == len(said(pruner, AGAIN)) == 1
    # What was refused at the first proxy did not come to the second one.
    assert counting.count == (1 if step == b"SET lock_timeout" else 2)
    pruner.wait_healthy()
    pruner.stop()
    refusing.close()
    counting.close()


def test_a_newer_schema_is_refused(lab, central, postgres):
    """At the start and in the middle: exit 1, both versions named, nothing deleted."""
    store(lab, central, [at(0, 1)])
    client = watching(lab, central)
    settings = {"RETENTION": "raw:2d", "PRUNE_INTERVAL_S": 1}
    running = lab.pruner(central, **settings)
    eventually(lambda: reports(client), "a run")
    connection = postgres.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO dewpoint_schema (version) VALUES (7)")
        cursor.execute("INSERT INTO reading (sensor, ts, clock, temperature) VALUES (1, now() - interval '9 days', 0, 2)")
    connection.close()
    assert running.wait_exit(30) == 1
    late = lab.pruner(central, healthy=False, **settings)
    assert late.wait_exit(30) == 1
    for service in (running, late):
        (event,) = [e for e in service.events() if "database_version" in e]
        assert (event["database_version"], event["known_version"]) == ("7", "3")
        assert not said(service, CANNOT)
    assert temperatures(lab) == [1, 2]


def test_a_database_that_comes_and_goes(lab, central):
    """One line a change, whatever happens; then it prunes."""
    postgres = lab.use_postgres(start=False)
    pruner = lab.pruner(central, healthy=False, RETENTION="raw:2d", PRUNE_INTERVAL_S=1)
    eventually(lambda: said(pruner, CANNOT), "it says that the database is away")
    assert "refused" in said(pruner, CANNOT)[0]["error"]
    assert pruner.health()[0] != 0
    postgres.start()
    store(lab, central, [at(0, 1)])
    pruner.wait_healthy()
    eventually(lambda: said(pruner, AGAIN), "it prunes")
    postgres.stop()
    (postgres.data / "standby.signal").touch()
    postgres.start()
    eventually(lambda: "recovery" in pruner.health()[1], "it says that the server is in recovery")
    postgres.execute("SELECT pg_promote()")
    pruner.wait_healthy()
    send(lab, central, [at(10 * DAY_S, 2)])
    eventually(lambda: temperatures(lab) == [1], "it prunes again")
    assert len(said(pruner, AGAIN)) == 2


def test_it_stops_while_its_server_hangs(lab, central, postgres):
    """SIGTERM: a clean exit in time, in the middle of a step and between two."""
    store(lab, central, [at(0, 1)])
    pruners = [lab.pruner(central, RETENTION="raw:2d", PRUNE_INTERVAL_S=1) for _ in range(2)]
    eventually(lambda: lab.database.lease("prune"), "one of them works")
    postgres.freeze()
    end = time.monotonic() + 2.5
    eventually(lambda: time.monotonic() >= end, "it has begun a run")
    for pruner in pruners:
        pruner.stop()
    postgres.thaw()


STREAMS_KEPT = 100_000


def test_no_clock_alone_forgets_a_stream(lab, central, postgres):
    """Silent for 400 days, and 100,000 others were seen after it: only both together."""
    lab.ingest(central)
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:2d")
    eventually(lambda: reports(client), "a run")
    add = (
        "INSERT INTO stream SELECT decode(lpad(to_hex(i), 32, '0'), 'hex'), 'n', now(),"
        " now() - %s * interval '1 day' + i * interval '1 second', 1, '{[1,6)}'"
        " FROM generate_series(%s, %s) AS i"
    )
    oldest = "SELECT encode(stream, 'hex') FROM stream ORDER BY seen LIMIT 1"
    count = "SELECT count(*) FROM stream"
    postgres.execute(add, 500, 1, STREAMS_KEPT)
    postgres.execute("INSERT INTO lost SELECT stream, 2, 1, now() FROM stream ORDER BY seen LIMIT 5")
    order(client, confirm=True)
    assert postgres.execute(count) == [(STREAMS_KEPT,)]
    # Three are seen now: the oldest three go, and what was lost of them.
    postgres.execute(add, 0, STREAMS_KEPT + 1, STREAMS_KEPT + 3)
    first = postgres.execute(oldest)
    order(client, confirm=True)
    assert postgres.execute(count) == [(STREAMS_KEPT,)] and postgres.execute(oldest) != first
    assert postgres.execute("SELECT count(*) FROM lost") == [(2,)]
    # Many more than are kept, but none of them silent for so long.
    postgres.execute("UPDATE stream SET seen = seen + interval '200 days' WHERE seen < now() - interval '1 day'")
    postgres.execute(add, 0, STREAMS_KEPT + 11, STREAMS_KEPT + 20)
    order(client, confirm=True)
    assert postgres.execute(count) == [(STREAMS_KEPT + 10,)]


def fill(postgres, rows, age_s):
    """Readings of one sensor over so long, as they could have been stored."""
    days = range(age_s // DAY_S + 2)
    for day in days:
        postgres.execute("SELECT dewpoint_partition((now() - %s * interval '1 day')::date)", day)
    postgres.execute(
        "INSERT INTO reading (sensor, ts, clock, temperature)"
        " SELECT 1, now() - (%s - i::float8 * %s / %s) * interval '1 s', 0, i / 10.0"
        " FROM generate_series(0, %s - 1) AS i",
        age_s, age_s, rows, rows,
    )


def test_a_limit_of_bytes_takes_the_oldest_days(lab, central, postgres):
    """Above MAX_DB_BYTES the oldest partitions go, but none that is younger than a day."""
    store(lab, central, [at(0, 1)])
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:1y", MAX_DB_BYTES=24 << 20)
    eventually(lambda: reports(client), "a run")
    fill(postgres, 300_000, 10 * DAY_S)
    report = order(client)
    assert report["outcome"] == "done" and 0 < report["readings"] < 300_000
    assert report["bytes_before"] > 24 << 20 >= report["bytes_after"]
    assert lab.database.count() == 300_001 - report["readings"] == report["rows_after"]
    ((oldest, newest),) = postgres.execute("SELECT extract(epoch FROM min(ts)), max(temperature) FROM reading")
    assert newest == 29_999.9 and int(oldest) == report["oldest"]
    # What is left is young: the limit cannot be kept, and that is said.
    fill(postgres, 400_000, DAY_S - 3600)
    report = order(client)
    assert report["reason"] == "too large still, and what is left is too young to go"
    assert lab.database.count() >= 400_000


@pytest.mark.parametrize("looked_at", [False, True])
def test_a_large_day_is_not_counted_row_by_row(lab, central, looked_at):
    """Its readings are estimated, and the report says so; whether or not the server has ever looked."""
    postgres = lab.use_postgres(settings=["log_statement=all", "autovacuum=off"])
    store(lab, central, [at(20 * DAY_S, 1), at(0, 1)])
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:15d")
    eventually(lambda: reports(client), "a run")
    assert "about" not in reports(client)[0]
    # A tenth of each page is used, so that few rows are a large table.
    day = time.strftime("reading_%Y%m%d", time.gmtime(time.time() - 16 * DAY_S))
    begin_s = int(time.time()) // DAY_S * DAY_S - 16 * DAY_S
    postgres.execute("SELECT dewpoint_partition((to_timestamp(%s) AT TIME ZONE 'UTC')::date)", begin_s)
    postgres.execute(f"ALTER TABLE {day} SET (fillfactor = 10)")
    postgres.execute(
        "INSERT INTO reading (sensor, ts, clock, temperature) SELECT 1, to_timestamp(%s + i / 10.0), 0, 1"
        " FROM generate_series(1, 500000) AS i", begin_s,
    )
    if looked_at:
        postgres.execute(f"ANALYZE {day}")
    report = order(client, confirm=True)
    assert (report["outcome"], report["about"]) == ("done", True)
    assert report["readings"] == pytest.approx(500_000, rel=0.05)
    assert day not in tables(postgres)
    assert f"SELECT count(*) FROM {day}\n" not in postgres.process.stderr()


def test_a_limit_of_bytes_takes_the_oldest_minutes(lab, central, postgres):
    """When no day may go any more: the oldest of the finest rollups, but none of 30 days."""
    store(lab, central, [at(0, 1)])
    client = watching(lab, central)
    pruner = lab.pruner(central, RETENTION="raw:1d,1m:1y,1h:10y", MAX_DB_BYTES=24 << 20)
    eventually(lambda: reports(client), "a run")
    postgres.execute(
        "INSERT INTO rollup SELECT size, 1, 0, ts, 1, 0, 0, 0, 0, 0, ts, ts"
        " FROM unnest(ARRAY[60, 3600]) AS size, LATERAL (SELECT date_bin(size * interval '1 s',"
        "  now() - (i * size / 60) * interval '2 min', timestamptz 'epoch')"
        "  FROM generate_series(1, 240000 * 60 / size) AS i) AS bucket (ts) ON CONFLICT DO NOTHING"
    )
    hours = len(minutes(lab, "reading_1h"))
    # Who reads them keeps the table from being written anew: pruning goes on without.
    reader = postgres.connect()
    reader.cursor().execute("SELECT count(*) FROM rollup")
    for _ in range(2):
        report = order(client, confirm=True)
        assert report["outcome"] == "done" and "could not be given back" in report["reason"]
    (line,) = [event for event in pruner.events() if "could not be written anew" in event["msg"]]
    assert "lock timeout" in line["error"]
    reader.close()
    owed = report["bytes_after"]
    report = order(client, confirm=True)
    assert report["bytes_after"] < owed and "reason" not in report
    assert report["outcome"] == "done"
    assert report["bytes_before"] > 24 << 20 >= report["bytes_after"]
    left = lab.database.query("SELECT count(*) FROM reading_1m")[0][0]
    assert 0 < left < 240_000
    assert len(minutes(lab, "reading_1h")) == hours
    young = "SELECT count(*) FROM reading_1m WHERE ts > now() - interval '29 days'"
    assert lab.database.query(young)[0][0] >= 28 * 720
