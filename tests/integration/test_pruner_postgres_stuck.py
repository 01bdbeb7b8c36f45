"""retention-pruner-postgres: what would keep it from getting through does not."""

import time

import pytest

from harness import BoardClock, eventually
from harness.pruning import DAY_S, at, minutes, order, reports, said, send, store, temperatures, watching

CANNOT = "cannot prune now, trying again"


@pytest.fixture
def postgres(lab):
    return lab.use_postgres()


def each_second(postgres, begin_s, seconds):
    """A reading of 1 in each second from there on, as they could have been stored."""
    for time_s in range(begin_s // DAY_S * DAY_S, begin_s + seconds, DAY_S):
        postgres.execute("SELECT dewpoint_partition((to_timestamp(%s) AT TIME ZONE 'UTC')::date)", time_s)
    postgres.execute(
        "INSERT INTO reading (sensor, ts, clock, temperature) SELECT 1, to_timestamp(%s + i), 0, 1"
        " FROM generate_series(0, %s - 1) AS i", begin_s, seconds,
    )


SLOW = """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(new.count * 0.02); RETURN new; END $$;
CREATE TRIGGER slow BEFORE INSERT ON rollup FOR EACH ROW WHEN (new.size = 60) EXECUTE FUNCTION slow()"""


def ended(postgres):
    return postgres.process.stderr().count("canceling statement due to statement timeout")


def test_what_takes_too_long_is_done_in_smaller_steps(lab, central, postgres):
    """Where less than a minute of readings is all that a statement has time for: it is counted, in
    parts of a minute, and the next run does not try more at first."""
    begin_s = int(time.time()) // 3600 * 3600 - 3600  # all of it in one hour
    clock = BoardClock(lab.directory, wall_s=begin_s + 185)
    store(lab, central, [at(10, 1)])  # it is younger than what is counted
    each_second(postgres, begin_s, 300)
    postgres.execute(SLOW)
    client = watching(lab, central)
    url = postgres.url() + "?options=-cstatement_timeout%3D1000"
    settings = {"RETENTION": "raw:2d,1m:1y,1h:10y", "CLOCK_FILE": clock.path, "STORE_URL": url}
    pruner = lab.pruner(central, **settings)
    (report,) = eventually(lambda: reports(client), "a run", 60)
    assert (report["outcome"], report["counted"]) == ("done", 120)
    assert minutes(lab) == [(60, 1, 1, 60, 1, 1)] * 2
    tried = ended(postgres)
    assert tried >= 6 and not said(pruner, CANNOT)
    clock.set(wall_s=begin_s + 365)
    assert order(client)["counted"] == 180
    assert minutes(lab) == [(60, 1, 1, 60, 1, 1)] * 5
    assert minutes(lab, "reading_1h") == [(300, 1, 1, 300, 1, 1)]
    assert ended(postgres) <= tried + 2


# Who is no superuser needs so long for each reading that would go.
SLOW_LOOK = """CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep(0.02); RETURN true; END $$;
CREATE POLICY slow ON reading USING (CASE WHEN current_query() LIKE '%%unnest($3%%' THEN slow() ELSE true END);
ALTER TABLE reading ENABLE ROW LEVEL SECURITY;
ALTER TABLE reading FORCE ROW LEVEL SECURITY;
CREATE ROLE slow LOGIN IN ROLE dewpoint"""


def test_what_would_go_is_looked_at_bit_by_bit(lab, central, postgres):
    """More would go than a statement has time to count: a dry run and a run get through all the same."""
    now_s = int(time.time()) // 60 * 60
    clock = BoardClock(lab.directory, wall_s=now_s - 12 * 3600)
    store(lab, central, [at(10, 1)])
    client = watching(lab, central)
    url = postgres.url().replace("dewpoint@", "slow@") + "?options=-cstatement_timeout%3D1000"
    settings = {"RETENTION": "raw:12h,1m:1y", "CLOCK_FILE": clock.path, "STORE_URL": url}
    postgres.execute(SLOW_LOOK)
    pruner = lab.pruner(central, **settings)
    eventually(lambda: reports(client), "a first run")
    # Half of the readings of the last twelve hours are as old when the next run comes.
    postgres.execute("SELECT dewpoint_partition((to_timestamp(%s) AT TIME ZONE 'UTC')::date)", now_s - DAY_S)
    postgres.execute(
        "INSERT INTO reading (sensor, ts, clock, temperature) SELECT 1, to_timestamp(%s + i * 300 + 150), 0, 2"
        " FROM generate_series(1, 287) AS i", now_s - DAY_S,
    )
    clock.set(wall_s=now_s)
    assert order(client, dry_run=True)["readings"] == 143
    pruner.stop()
    clock.reboot(wall_s=now_s)
    pruner.start()
    report = eventually(lambda: reports(client)[1:], "a run")[0]
    assert (report["outcome"], report["readings"]) == ("done", 143)
    assert ended(postgres) > 0


def test_a_database_that_is_replaced_in_the_middle_of_a_run(lab, central, postgres):
    """The run of the old one has failed, and says so; the new one gets a run of its own."""
    store(lab, central, [at(10 * DAY_S, 1), at(0, 2)])
    client = watching(lab, central)
    reader = postgres.connect()
    reader.cursor().execute("SELECT count(*) FROM reading")  # its day cannot be dropped
    pruner = lab.pruner(central, healthy=False, RETENTION="raw:2d")
    eventually(lambda: said(pruner, CANNOT), "it is in the middle of a run")
    reader.close()
    server = postgres.connect("postgres")
    server.autocommit = True
    cursor = server.cursor()
    cursor.execute("ALTER DATABASE dewpoint ALLOW_CONNECTIONS false")
    cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'dewpoint'")
    cursor.execute("ALTER DATABASE dewpoint RENAME TO old")
    cursor.execute("CREATE DATABASE dewpoint")
    server.close()
    (first,) = eventually(lambda: reports(client), "a report")
    assert (first["outcome"], first["reason"]) == ("failed", "the database was replaced during the run")
    assert (first["rows_before"], first["rows_after"]) == (2, 0)
    second = order(client)
    assert (second["outcome"], second["rows_before"]) == ("done", 0)


ODD = "values too large to be those of a sensor are in no minute and hour"


def test_a_sum_that_overflows_stops_nothing(lab, central, postgres):
    """As an older version could have stored them: neither such values nor such a sum."""
    age_s = 3600 + int(time.time()) % 60 - 1
    store(lab, central, [at(age_s - i, i) for i in range(5)])
    for number, value in enumerate(["1.7e308", "1.7e308", "infinity", "nan"]):
        postgres.execute("UPDATE reading SET temperature = %s::float8 WHERE temperature = %s", value, number)
    client = watching(lab, central)
    pruner = lab.pruner(central, RETENTION="raw:2d,1m:1y,1h:10y")
    (report,) = eventually(lambda: reports(client), "a run")
    assert (report["outcome"], report["counted"]) == ("done", 5)
    assert [event["values"] for event in said(pruner, ODD)] == ["4"]
    assert minutes(lab) == minutes(lab, "reading_1h") == [(1, 4, 4, 4, 4, 4)]
    postgres.execute("UPDATE rollup SET sum = 1.7976931348623157e308")  # the largest number
    send(lab, central, [at(age_s - 5, 9)])
    postgres.execute("INSERT INTO late SELECT sensor, ts, 1e288 FROM late, generate_series(1, 29999)")
    assert order(client)["counted"] == 30_000
    assert [row[0] for row in minutes(lab)] == [30_001]


CANNOT_COUNT = "the readings of a sensor cannot be counted: others are, its own wait until the cause is mended"


def test_sensors_that_cannot_be_counted_for_different_reasons(lab, central, postgres):
    """Each is found by itself, also when the others' halves fail with another error."""
    age_s = 3 * DAY_S + int(time.time()) % 60 - 1
    lab.ingest(central)
    for node in ("n0", "n1", "n2", "n3"):
        send(lab, central, [at(age_s, 2)], node)
    postgres.execute(
        "INSERT INTO rollup SELECT 60, s.id, 0, date_bin('1 min', r.ts, 'epoch'), 9223372036854775807,"
        " 1, 1, 1, 1, 1, r.ts, r.ts FROM sensor s JOIN reading r ON r.sensor = s.id"
        " WHERE topic = '/data/n0'"
    )
    postgres.execute(
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'a page is gone' USING ERRCODE = 'XX000'; END $$"
    )
    sensor = postgres.execute("SELECT id FROM sensor WHERE topic = '/data/n3'")[0][0]
    postgres.execute(
        f"CREATE TRIGGER broken BEFORE INSERT ON rollup FOR EACH ROW WHEN (new.sensor = {sensor})"
        " EXECUTE FUNCTION broken()"
    )
    client = watching(lab, central)
    pruner = lab.pruner(central, RETENTION="raw:2d,1m:1y,1h:10y")
    report = eventually(lambda: reports(client), "a run")[0]
    assert (report["outcome"], report["counted"]) == ("done", 2)
    assert {line["topic"] for line in said(pruner, CANNOT_COUNT)} == {"/data/n0", "/data/n3"}


def test_a_lease_that_was_written_under_a_wrong_clock_is_taken(lab, central, postgres):
    """Nobody else would prune for ten years."""
    lab.ingest(central)
    postgres.execute("INSERT INTO lease VALUES ('prune', 'gone', 7, now() + interval '10 years')")
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:2d,1m:1y,1h:10y")
    eventually(lambda: reports(client), "a run")
    assert postgres.execute("SELECT number FROM lease WHERE name = 'prune'") == [(8,)]


def test_a_sensor_that_cannot_be_counted_stops_no_other(lab, central, postgres):
    """It is named once and its readings wait, over runs and while their day goes, until it can be."""
    age_s = 3 * DAY_S + int(time.time()) % 60 - 1
    lab.ingest(central)
    for node in ("n0", "n1", "n2", "n3"):
        send(lab, central, [at(age_s, 2), at(age_s - 1, 4), at(0, 5)], node)
    # One more is no number of a bucket any more: out of range.
    postgres.execute(
        "INSERT INTO rollup SELECT 60, s.id, 0, date_bin('1 min', r.ts, 'epoch'), 9223372036854775807,"
        " 1, 1, 1, 1, 1, r.ts, r.ts FROM sensor s JOIN reading r ON r.sensor = s.id"
        " WHERE topic = '/data/n1' AND temperature = 2"
    )
    client = watching(lab, central)
    pruner = lab.pruner(central, RETENTION="raw:2d,1m:1y,1h:10y")
    report = eventually(lambda: reports(client), "a run")[0]
    assert (report["outcome"], report["counted"]) == ("done", 6)
    assert "readings of /data/n1 climate cannot be counted" in report["reason"]
    assert temperatures(lab) == [5, 5, 5, 5]
    hours = "SELECT topic, count, sum FROM reading_1h ORDER BY topic"
    assert lab.database.query(hours) == [(f"/data/n{i}", 2, 6) for i in (0, 2, 3)]
    # What is late for it waits as well, and for another does not.
    for node in ("n1", "n2"):
        send(lab, central, [at(age_s - 2, 9)], node)
    report = order(client)
    assert report["counted"] == 1 and "/data/n1" in report["reason"]
    assert postgres.execute("SELECT temperature FROM late ORDER BY 1") == [(2,), (4,), (9,)]
    (line,) = said(pruner, CANNOT_COUNT)
    assert (line["topic"], line["sensor"]) == ("/data/n1", "climate") and "out of range" in line["error"]
    postgres.execute("DELETE FROM rollup WHERE count = 9223372036854775807")
    report = order(client)
    assert report["counted"] == 3 and "reason" not in report
    assert lab.database.query(hours) == [("/data/n0", 2, 6), ("/data/n1", 3, 15), ("/data/n2", 3, 15), ("/data/n3", 2, 6)]
