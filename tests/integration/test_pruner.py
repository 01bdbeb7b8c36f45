"""retention-pruner: what is older than RETENTION goes, the rest stays."""

import json
import sqlite3
import time

import pytest

from harness import Peer, eventually
from harness.client import publish_properties
from harness.clock import BoardClock
from harness.peer import new_stream, senml
from harness.pruning import DAY_S, at, minutes, order, reports, store, temperatures, watching


@pytest.mark.stores
def test_old_readings_go_and_young_ones_stay(lab, central):
    """RETENTION=raw:2d removes readings older than two days and nothing else."""
    store(lab, central, [at(10 * DAY_S, 1), at(3 * DAY_S, 2), at(DAY_S, 3), at(0, 4)])
    lab.pruner(central, RETENTION="raw:2d", PRUNE_INTERVAL_S=1)
    eventually(lambda: temperatures(lab) == [3, 4], "the two old readings are gone")


@pytest.mark.stores
def test_pruned_readings_do_not_come_back(lab, central):
    """A batch that is sent again after its readings were pruned is answered and not stored."""
    old = [at(10 * DAY_S, 1), at(10 * DAY_S, 2)]
    stream = store(lab, central, old)
    lab.pruner(central, RETENTION="raw:2d", PRUNE_INTERVAL_S=1)
    eventually(lambda: lab.database.count() == 0, "they are gone")
    peer = Peer(lab.client(central))
    assert peer.ask(stream, 1, senml(old), 2)["stored"] == [[stream, 1, 2]]
    assert lab.database.count() == 0


@pytest.mark.stores
def test_many_old_readings_go_while_new_ones_come(lab, central):
    """5,000 old readings go in steps; ingest goes on storing meanwhile."""
    lab.ingest(central)
    peer = Peer(lab.client(central))
    stream = new_stream()
    for first in range(1, 5001, 1000):
        batch = [at(10 * DAY_S, first + n) for n in range(1000)]
        assert "stored" in peer.ask(stream, first, senml(batch), 1000)
    lab.pruner(central, RETENTION="raw:2d", PRUNE_INTERVAL_S=1)
    for seq in range(5001, 5051):
        assert "stored" in peer.ask(stream, seq, senml([at(0, seq)]), 1)
    eventually(lambda: temperatures(lab) == list(range(5001, 5051)), "only the new ones are left")


@pytest.mark.stores
def test_pruning_needs_no_broker(lab, central):
    """The pruner tells its statistics to the broker; without it, old readings go all the same."""
    store(lab, central, [at(10 * DAY_S, 1), at(0, 2)])
    central.kill()
    lab.pruner(central, healthy=False, RETENTION="raw:2d", PRUNE_INTERVAL_S=1)
    eventually(lambda: temperatures(lab) == [2], "the old reading is gone")


@pytest.mark.stores
def test_a_report_waits_for_the_broker(lab, central):
    """The report of a run that ends while the broker is away is there once it is back."""
    store(lab, central, [at(10 * DAY_S, 1), at(0, 2)])
    central.kill()
    pruner = lab.pruner(central, healthy=False, RETENTION="raw:2d")
    eventually(lambda: [e for e in pruner.events() if e["msg"] == "pruned"], "the run is over")
    central.start()
    client = watching(lab, central)
    eventually(lambda: reports(client), "its report")
    assert reports(client)[0]["readings"] == 1


@pytest.mark.stores
def test_two_pruners_share_one_lease(lab, central):
    """Scaled to two, both are healthy and one works; it gives the lease back when it stops."""
    store(lab, central, [at(10 * DAY_S, 1), at(0, 2)])
    settings = {"RETENTION": "raw:2d", "PRUNE_INTERVAL_S": 1}
    pruners = [lab.pruner(central, **settings), lab.pruner(central, **settings)]
    eventually(lambda: temperatures(lab) == [2], "the old reading is gone")
    peer = Peer(lab.client(central))
    assert "stored" in peer.ask(new_stream(), 1, senml([at(10 * DAY_S, 3)]), 1)
    eventually(lambda: temperatures(lab) == [2], "so is the next one")
    holder, number = lab.database.lease("prune")
    assert number == 1, "the lease has not changed hands"
    active = [p for p in pruners if p.settings["INSTANCE"] in holder]
    assert len(active) == 1, holder
    active[0].stop()
    assert lab.database.lease("prune") is None


@pytest.mark.stores
def test_rollups_are_made_before_readings_go(lab, central):
    """Three readings of a minute are counted, then deleted; the views tell what they were."""
    age_s = 3 * DAY_S + int(time.time()) % 60 - 1  # the first second of a minute
    store(lab, central, [at(age_s - n, value) for n, value in enumerate([2, 5, 3])])
    lab.pruner(central, RETENTION="raw:2d,1m:1y,1h:10y")
    eventually(lambda: lab.database.count() == 0, "the readings are gone")
    assert minutes(lab) == minutes(lab, "reading_1h") == [(3, 2, 5, 10, 2, 3)]


@pytest.mark.stores
def test_a_late_reading_corrects_its_minute(lab, central):
    """A node that is back after days: its readings are merged into what is left of theirs."""
    age_s = 3 * DAY_S + int(time.time()) % 60 - 1
    store(lab, central, [at(age_s, 2), at(age_s - 30, 4)])
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:2d,1m:1y,1h:10y")
    eventually(lambda: reports(client), "the run is over")
    peer = Peer(lab.client(central))
    late = [at(age_s - 40, 9), at(age_s - 10, 1)]
    assert "stored" in peer.ask(new_stream(), 1, senml(late), 2)
    report = order(client)
    assert (report["outcome"], report["counted"], report["readings"]) == ("done", 2, 2)
    assert lab.database.count() == 0
    assert minutes(lab) == [(4, 1, 9, 16, 2, 9)]


@pytest.mark.stores
def test_a_dry_run_says_what_would_go(lab, central):
    """Nothing is deleted, and nothing counted; the retained report stays as it was."""
    store(lab, central, [at(0, 1)])
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:2d,1m:1y")
    (first,) = eventually(lambda: reports(client), "a first run")
    peer = Peer(lab.client(central))
    assert "stored" in peer.ask(new_stream(), 1, senml([at(3 * DAY_S, 2), at(DAY_S, 3)]), 2)
    report = order(client, dry_run=True)
    assert (report["outcome"], report["readings"], report["counted"]) == ("dry_run", 1, 0)
    assert report["rows_before"] == report["rows_after"] == 3
    assert temperatures(lab) == [1, 2, 3]
    assert reports(client) == [first]
    report = order(client)
    assert (report["readings"], report["rows_before"], report["rows_after"]) == (1, 3, 2)
    assert report["oldest"] == min(ts for _, ts, _ in lab.database.readings()) // 1_000_000
    eventually(lambda: reports(client)[-1] == report, "it is published as well")


LEASE_RENEWED_S = 11  # the pruner trusts its lease for ten seconds, then asks the database


def lock_out(lab):
    """Somebody holds the database; returns how to end that."""
    if lab.postgres is not None:
        other = lab.postgres.connect()
        with other.cursor() as cursor:
            cursor.execute("SELECT FROM lease WHERE name = 'prune' FOR UPDATE")
        return other.rollback
    other = sqlite3.connect(lab.database_path, isolation_level=None, timeout=10)
    other.execute("BEGIN IMMEDIATE")
    return lambda: other.execute("ROLLBACK")


def cannot(pruner):
    return [e for e in pruner.events() if e["msg"] == "cannot prune now, trying again"]


@pytest.mark.stores
@pytest.mark.parametrize("members", [{"dry_run": True}, {"confirm": True}])
def test_an_order_while_the_database_is_locked(lab, central, members):
    """It is carried out as what it is when the lock is gone, and answered once: a dry run
    that has to wait deletes nothing."""
    clock = BoardClock(lab.directory)
    store(lab, central, [at(0, 1)])
    client = watching(lab, central)
    pruner = lab.pruner(central, RETENTION="raw:2d", CLOCK_FILE=clock.path)
    eventually(lambda: reports(client), "the first run")
    began = time.monotonic()
    if members.get("confirm"):  # a clock three days ahead: only that deletes anything
        clock.set(wall_s=time.time() + 3 * DAY_S)
    else:
        old = [at(3 * DAY_S, 2), at(4 * DAY_S, 3)]
        assert "stored" in Peer(lab.client(central)).ask(new_stream(), 1, senml(old), 2)
    eventually(lambda: time.monotonic() - began > LEASE_RENEWED_S, "the lease is to be renewed", 20)
    unlock = lock_out(lab)
    client.subscribe("answers/me")
    properties = publish_properties(response="answers/me", correlation=b"order")
    client.post("retention/run", json.dumps(members).encode(), properties=properties)
    eventually(lambda: cannot(pruner), "it could not begin", 40)
    before = temperatures(lab)
    unlock()
    message = client.wait_message("answers/me")
    assert json.loads(message.payload)["outcome"] == ("dry_run" if "dry_run" in members else "done")
    assert temperatures(lab) == ([] if "confirm" in members else before)
    assert len(client.messages("answers/me")) == 1


def test_an_order_at_a_stop_is_refused(lab, central):
    """Who waits for a run hears that there is none."""
    store(lab, central, [at(0, 1)])
    client = watching(lab, central)
    pruner = lab.pruner(central, RETENTION="raw:2d")
    eventually(lambda: reports(client), "the first run")
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > LEASE_RENEWED_S, "the lease is to be renewed", 20)
    unlock = lock_out(lab)
    client.subscribe("answers/me")
    properties = publish_properties(response="answers/me", correlation=b"order")
    client.post("retention/run", b'{"confirm":true}', properties=properties)
    eventually(lambda: cannot(pruner), "it could not begin", 40)
    pruner.stop()
    assert "stopped" in json.loads(client.wait_message("answers/me").payload)["error"]
    unlock()


@pytest.mark.stores
def test_what_is_no_order_is_refused(lab, central):
    """An order that cannot be read is answered; it deletes nothing, and no run comes of it."""
    lab.ingest(central)
    client = watching(lab, central)
    lab.pruner(central)
    eventually(lambda: reports(client), "a first run")
    assert "dry_run" in order(client, confirm="yes")["error"]
    assert len(reports(client)) == 1


@pytest.mark.stores
def test_a_clock_ten_years_ahead_deletes_nothing(lab, central):
    """Set forward, the pruner asks; with confirm it does what it was told."""
    clock = BoardClock(lab.directory)
    store(lab, central, [at(DAY_S, 1), at(0, 2)])
    client = watching(lab, central)
    settings = {"RETENTION": "raw:2d,1m:1y", "PRUNE_INTERVAL_S": 1, "CLOCK_FILE": clock.path}
    pruner = lab.pruner(central, **settings)
    eventually(lambda: reports(client), "a run")
    clock.set(wall_s=time.time() + 10 * 365 * DAY_S)
    asks = eventually(
        lambda: [r for r in reports(client) if r["outcome"] == "asks"], "it asks"
    )[0]
    assert asks["reason"] == "the clock was set forward since the last run"
    # Started anew, in another boot, it knows from what it would delete.
    pruner.kill()
    clock.reboot(wall_s=time.time() + 10 * 365 * DAY_S)
    pruner.start()
    words = "more than half of what the last policy period has brought would go"
    eventually(lambda: reports(client)[-1].get("reason") == words, "it asks again")
    assert temperatures(lab) == [1, 2]
    assert order(client, dry_run=True)["readings"] == 2
    report = order(client, confirm=True)
    assert (report["outcome"], report["readings"]) == ("done", 2)
    assert lab.database.count() == 0


@pytest.mark.stores
def test_a_first_run_ten_years_ahead_asks(lab, central):
    """Also a pruner that never ran before does not believe such a clock."""
    clock = BoardClock(lab.directory, wall_s=time.time() + 10 * 365 * DAY_S)
    store(lab, central, [at(DAY_S, 1), at(0, 2)])
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:2d", CLOCK_FILE=clock.path)
    eventually(lambda: reports(client), "a report")
    assert reports(client)[-1]["outcome"] == "asks"
    assert temperatures(lab) == [1, 2]


@pytest.mark.stores
def test_rollups_that_retention_no_longer_names_are_asked_about(lab, central):
    """A size left out by mistake does not cost years of history."""
    store(lab, central, [at(DAY_S, 1)])
    client = watching(lab, central)
    pruner = lab.pruner(central, RETENTION="raw:2d,1m:1y")
    eventually(lambda: reports(client), "a run")
    pruner.stop()
    lab.pruner(central, RETENTION="raw:2d")
    eventually(lambda: reports(client)[-1]["outcome"] == "asks", "it asks")
    assert len(minutes(lab)) == 1
    assert order(client, confirm=True)["rollups"] == 1
    assert minutes(lab) == []


@pytest.mark.stores
def test_a_node_has_a_policy_of_its_own(lab, central):
    """RETENTION_<NODE> counts for that node alone."""
    old = [at(3 * DAY_S, 1)]
    lab.ingest(central)
    client = lab.client(central)
    for node in ("bench", "orangepi-0"):
        assert "stored" in Peer(client, node).ask(new_stream(), 1, senml(old), 1)
    reader = watching(lab, central)
    lab.pruner(central, RETENTION="raw:2d", RETENTION_ORANGEPI_0="raw:1w")
    eventually(lambda: reports(reader), "a run")
    assert lab.database.topics() == {"/data/orangepi-0"}


@pytest.mark.stores
def test_an_override_that_means_two_things_shortens_nothing(lab, central):
    """A node kitchen-window, and the sensor window of kitchen: both keep what RETENTION says."""
    lab.ingest(central)
    client = watching(lab, central)
    for node, sensor in (("kitchen-window", "climate"), ("kitchen", "window"), ("kitchen", "climate")):
        reading = at(3 * DAY_S, 1)
        reading[0]["bn"] = f"{sensor}/"
        assert "stored" in Peer(lab.client(central), node).ask(new_stream(), 1, senml([reading]), 1)
    pruner = lab.pruner(central, RETENTION="raw:1w", RETENTION_KITCHEN_WINDOW="raw:1d")
    (report,) = eventually(lambda: reports(client), "a run")
    assert report["outcome"] == "done" and "means more than one thing" in report["reason"]
    assert temperatures(lab) == [1, 1, 1]
    (line,) = [e for e in pruner.events() if e["msg"].startswith("an override means more")]
    assert line["name"] == "RETENTION_KITCHEN_WINDOW"
    assert {line["node"], line["other_node"]} == {"kitchen", "kitchen-window"}


def test_a_limit_of_bytes_takes_the_oldest(lab, central):
    """Above MAX_DB_BYTES the oldest readings go, but none that is younger than a day."""
    lab.ingest(central)
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:1y", MAX_DB_BYTES=16 << 20)
    eventually(lambda: reports(client), "a run")
    fill(lab.database_path, 500_000, 10 * DAY_S)
    report = order(client)
    assert report["outcome"] == "done" and 0 < report["readings"] < 500_000
    assert report["bytes_before"] > 16 << 20 >= report["bytes_after"]
    assert lab.database.count() == 500_000 - report["readings"] == report["rows_after"]
    ((highest,),) = lab.database.query("SELECT max(temperature) FROM reading")
    assert highest == 49_999.9, "the newest is there"
    assert oldest_of(lab) / 1e6 == pytest.approx(report["oldest"], abs=1)
    # What is left is young: the limit cannot be kept, and that is said.
    fill(lab.database_path, 500_000, DAY_S - 3600)
    report = order(client)
    assert report["reason"] == "too large still, and what is left is too young to go"
    floor_us = (int(time.time()) - DAY_S - 600) * 1_000_000  # time has passed since
    assert oldest_of(lab) >= floor_us and lab.database.count() >= 500_000


AHEAD_S = -3652 * DAY_S  # the age of what a clock ten years ahead has dated
LIMIT = 16 << 20


def fill_ahead(lab, rows):
    """Readings of 7 from ten years ahead, marked so by ingest; the last one was not."""
    if lab.postgres is None:
        fill(lab.database_path, rows, 3600)
        connection = sqlite3.connect(lab.database_path, timeout=30)
        with connection:
            ahead_us = -AHEAD_S * 1_000_000
            sql = "UPDATE reading SET ts = ts + ?, clock = 3, temperature = 7 WHERE id > 3"
            connection.execute(sql, (ahead_us,))
            connection.execute("UPDATE reading SET clock = 0 WHERE ts = (SELECT max(ts) FROM reading)")
        connection.close()
        return
    lab.postgres.execute(
        "INSERT INTO reading (sensor, ts, clock, temperature)"
        " SELECT 1, now() + %s * interval '1 s' + i * interval '1 s', CASE i WHEN %s THEN 0 ELSE 3 END, 7"
        " FROM generate_series(1, %s) AS i", -AHEAD_S, rows, rows,
    )


def ahead(lab):
    """The marks of what is there of them."""
    return [clock for (clock,) in lab.database.query("SELECT clock FROM reading WHERE temperature = 7")]


def crowded(lab, central):
    """A first run, then so much from ten years ahead that the next one, with MAX_DB_BYTES, has to cut."""
    clock = BoardClock(lab.directory)
    store(lab, central, [at(300 * DAY_S, 1), at(20 * DAY_S, 2), at(0, 3)])
    client = watching(lab, central)
    settings = {"RETENTION": "raw:1y,1m:1y", "CLOCK_FILE": clock.path}
    pruner = lab.pruner(central, **settings)
    eventually(lambda: reports(client), "a run")
    rows = 600_000 if lab.postgres is None else 150_000
    fill_ahead(lab, rows)
    report = order(client)
    assert report["readings"] == 0 and report["bytes_after"] > LIMIT
    pruner.stop()
    return clock, client, settings, rows


@pytest.mark.stores
def test_what_is_ahead_goes_first_when_space_is_short(lab, central):
    """What was marked when it came; and nothing of it as long as there is space."""
    _, client, settings, rows = crowded(lab, central)
    lab.pruner(central, MAX_DB_BYTES=LIMIT, PRUNE_PAUSE_MS=0, **settings)
    (report,) = eventually(lambda: reports(client)[2:], "a run with a limit", 60)
    assert report["outcome"] == "done" and report["bytes_after"] <= LIMIT
    assert "reason" not in report
    assert [value for value in temperatures(lab) if value != 7] == [1, 2, 3]
    left = ahead(lab)
    assert left.count(0) == 1 and len(left) == rows - report["readings"]


@pytest.mark.stores
def test_a_clock_that_is_behind_takes_nothing_for_ahead(lab, central):
    """It shows less than at the last run: the oldest go, as ever."""
    clock, client, settings, rows = crowded(lab, central)
    clock.reboot(wall_s=time.time() - 30 * DAY_S)
    lab.pruner(central, MAX_DB_BYTES=LIMIT, **settings)
    (report,) = eventually(lambda: reports(client)[2:], "a run")
    assert report["reason"] == "too large still, and what is left is too young to go"
    assert len(ahead(lab)) == rows


def oldest_of(lab):
    return lab.database.query("SELECT min(ts) FROM reading")[0][0]


def fill(path, rows, age_s):
    """Readings of one sensor over so long, as they could have been stored."""
    connection = sqlite3.connect(path, timeout=30)
    with connection:
        connection.execute("INSERT OR IGNORE INTO sensor VALUES (1, '/data/bench', 'climate', 0)")
        connection.execute(
            "WITH RECURSIVE k (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE i + 1 < ?1)"
            " INSERT INTO reading (sensor, ts, id, clock, temperature) SELECT 1,"
            " ?2 + i * ?3, (SELECT reading FROM next_id) + i, 0, i / 10.0 FROM k",
            (rows, (int(time.time()) - age_s) * 1_000_000, age_s * 1_000_000 // rows),
        )
        connection.execute("UPDATE next_id SET reading = reading + ?", (rows,))
    connection.close()
