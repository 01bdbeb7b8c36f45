"""Sensors of more quantities than a row has columns, and of others every day, in both stores."""

import json
import random
import time
from collections import Counter

import pytest

from harness import Peer, eventually
from harness.ledger import row
from harness.peer import BASE_TIME_S, new_stream, reading, senml
from harness.pruning import DAY_S, order, reports, watching

pytestmark = pytest.mark.stores

MOST = 192  # besides temperature and humidity
REFUSED = "no room for a new quantity: a sensor may have 192 besides temperature and humidity"


def wide(seq, quantities, sensor="adc"):
    """A reading with these quantities, whose values tell which it is."""
    return reading(seq, sensor, **{f"q{n}": seq * 1000 + n for n in quantities})


def as_row(seq, quantities, sensor="adc"):
    values = {f"q{n}": seq * 1000 + n for n in quantities}
    return row(sensor, (BASE_TIME_S + seq) * 10**6, values)


def store(peer, stream, sets, first=1):
    """One batch, a reading for each set of quantities; what must then be there."""
    batch = [wide(first + i, quantities) for i, quantities in enumerate(sets)]
    answer = peer.ask(stream, first, senml(batch), len(batch))
    assert answer == {"stored": [[stream, first, len(batch)]]}
    return Counter(as_row(first + i, quantities) for i, quantities in enumerate(sets))


def made(database):
    """How many sensors, channels and rows there are."""
    return [database.query(f"SELECT count(*) FROM {t}")[0][0] for t in ("sensor", "channel", "reading")]


@pytest.fixture
def ingest(lab, central):
    return lab.ingest(central)


@pytest.fixture
def peer(lab, central, ingest):
    return Peer(lab.client(central))


def test_an_adc_of_eight_channels(lab, local, central, ingest, tmp_path):
    """From the device to the centre: its readings are stored, one each, before and after restarts."""
    adc = tmp_path / "adc"
    adc.mkdir()
    (adc / "in_voltage_scale").write_text("1000\n")
    for channel in range(8):
        (adc / f"in_voltage{channel}_raw").write_text(f"{channel}\n")
    lab.publisher(local, central)
    sampler = lab.sampler(local, f"adc=iio@{adc}", PERIOD_MS=20)
    eventually(lambda: len(lab.database.readings()) > 20, "readings flow")
    ingest.restart()
    before = len(lab.database.readings())
    eventually(lambda: len(lab.database.readings()) > before + 20, "they flow again")
    sampler.stop()
    values = {f"voltage{n}": float(n) for n in range(8)}
    stored = lab.database.readings()
    assert [quantities for _, _, quantities in stored] == [values] * len(stored)
    assert len({ts for _, ts, _ in stored}) == len(stored)
    sql = "SELECT topic, name, part FROM sensor ORDER BY part"
    assert lab.database.query(sql) == [("/data/raspberrypi4", "adc", 0), ("/data/raspberrypi4", "adc", 1)]
    assert lab.database.dead_letters() == []


def test_forty_channels(lab, peer, ingest):
    """Five readings at a time, eight channels each: stored, and not again when they are sent again."""
    stream = new_stream()
    sets = [range(at, at + 8) for at in range(0, 40, 8)]
    expected = store(peer, stream, sets)
    expected += store(peer, stream, sets, first=6)
    assert made(lab.database)[:2] == [7, 40]
    for _ in range(2):
        store(peer, stream, sets)
        ingest.restart()
    store(peer, stream, [*sets, *sets])
    expected += store(peer, stream, list(reversed(sets)), first=11)
    assert lab.database.rows() == expected
    assert made(lab.database)[:2] == [7, 40]


def test_forty_channels_of_a_plain_device(lab, central, peer):
    """By SenML and by flat objects, as one sensor without a name."""
    device = lab.client(central)
    records = [{"bt": BASE_TIME_S}] + [{"n": f"q{n}", "v": n} for n in range(8)]
    records[0] |= records.pop(1)
    device.publish("/data/adc", json.dumps(records))
    for at in range(8, 40, 8):
        values = {f"q{n}": n for n in range(at, at + 8)}
        device.publish("/data/adc", json.dumps({**values, "time": BASE_TIME_S + at}))
    expected = Counter(
        row("", (BASE_TIME_S + at) * 10**6, {f"q{n}": n for n in range(at, at + 8)})
        for at in range(0, 40, 8)
    )
    eventually(lambda: lab.database.rows() == expected, "all are stored")
    assert made(lab.database)[:2] == [7, 40]
    assert lab.database.dead_letters() == []


def test_quantities_that_change_over_time(lab, peer, ingest):
    """Some hundred in all, a few at a time, with restarts in between: each reading is there, whole."""
    draw = random.Random(20261129)
    stream, expected, first = new_stream(), Counter(), 1
    for day in range(12):
        named = range(day * 9, day * 9 + 20)
        sets = [draw.sample(named, draw.randint(1, 8)) for _ in range(40)]
        expected += store(peer, stream, sets, first)
        first += len(sets)
        if day % 4 == 3:
            ingest.restart()
    assert lab.database.rows() == expected
    used = {quantity for _, _, values in expected for quantity, _ in values}
    assert sorted(lab.database.query("SELECT quantity FROM channel")) == sorted((q,) for q in used)
    sensors, _, rows = made(lab.database)
    assert sensors == -(-len(used) // 6) and rows > expected.total()


def test_a_refused_reading_leaves_nothing(lab, peer, central, ingest):
    """Neither sensor nor channel nor row, by whatever way it came; what is known is stored."""
    stream = new_stream()
    expected = store(peer, stream, [range(at, at + 8) for at in range(0, MOST - 8, 8)])
    expected += store(peer, stream, [range(MOST - 8, MOST - 2)], first=24)
    before = made(lab.database)
    assert before[:2] == [32, MOST - 2]
    # Two columns are left: three do not find room, alone or among known ones.
    refused = [range(1000, 1008), range(MOST - 4, MOST + 1), [1, 2000, 2001, 2002]]
    batch = [wide(25 + i, quantities) for i, quantities in enumerate(refused)]
    for _ in range(2):
        answer = peer.ask(stream, 25, senml(batch), 3)
        ingest.restart()
        assert made(lab.database) == before
    assert answer == {"stored": [[stream, 25, 3]]}, "the second time they are consumed"
    expected += store(peer, stream, [range(MOST - 4, MOST), [0, 5, 190]], first=28)
    assert lab.database.rows() == expected
    assert made(lab.database)[:2] == [32, MOST]
    assert [letter["reason"] for letter in lab.database.dead_letters()] == [REFUSED] * 3
    # A plain device's message names the same sensor.
    device = lab.client(central)
    device.publish(f"/data/{peer.node}", json.dumps(wide(40, [0, MOST])))
    device.publish(f"/data/{peer.node}", json.dumps(wide(41, [7, 8])))
    expected += Counter([as_row(41, [7, 8])])
    eventually(lambda: lab.database.rows() == expected, "the known ones are stored")
    assert made(lab.database)[:2] == [32, MOST]
    assert [letter["reason"] for letter in lab.database.dead_letters()] == [REFUSED] * 4


def test_readings_of_one_batch_that_fit_alone_and_not_together(lab, peer, ingest):
    """The first to come has the room; what is refused for it leaves nothing, and what fits then is stored."""
    stream = new_stream()
    store(peer, stream, [range(at, at + 8) for at in range(0, MOST - 8, 8)])
    store(peer, stream, [range(MOST - 8, MOST - 3)], first=24)
    sets = [[300, 301], [302, 303], [302], [0, 303]]
    batch = [wide(25 + i, quantities) for i, quantities in enumerate(sets)]
    answer = peer.ask(stream, 25, senml(batch), 4)
    assert answer["stored"] == [[stream, 25, 1], [stream, 27, 1]]
    assert answer["rejected"] == [[stream, 26, 1, REFUSED], [stream, 28, 1, REFUSED]]
    new = "SELECT quantity FROM channel WHERE quantity LIKE 'q30_' ORDER BY quantity"
    assert lab.database.query(new) == [("q300",), ("q301",), ("q302",)]
    # At once: nothing went wrong that had to be tried again.
    said = [event for event in ingest.events() if event["level"] in ("warn", "error")]
    assert [event.get("reason") for event in said] == [REFUSED]


def test_three_ingests_make_parts_at_once(lab, central, peer):
    """Each finds what the others have made: no quantity has two columns, no reading is missing."""
    for _ in range(2):
        lab.ingest(central)
    draw = random.Random(1)
    peers = [(new_stream(), Peer(lab.client(central))) for _ in range(4)]
    expected, batches = Counter(), 0
    for turn in range(15):
        for number, (stream, sender) in enumerate(peers):
            seq = 100_000 * number + turn + 1
            quantities = draw.sample(range(turn * 4, turn * 4 + 24), 8)
            batch = senml([wide(seq, quantities)])
            sender.send(stream, turn + 1, batch, 1)
            expected += Counter([as_row(seq, quantities)])
            batches += 1
    eventually(lambda: lab.database.rows() == expected, "all are stored", 60)
    twice = "SELECT quantity FROM channel GROUP BY quantity HAVING count(*) > 1"
    assert lab.database.query(twice) == []
    assert lab.database.query("SELECT count(DISTINCT part), count(*) FROM sensor")[0] == (
        made(lab.database)[0],
        made(lab.database)[0],
    )


def test_a_reading_of_several_rows_counts_once(lab, central):
    """In ingest's counters, and as one line on its standard output."""
    client = lab.client(central)
    client.subscribe("stats/#")
    ingest = lab.ingest(central, INSTANCE="wide", STATS_PERIOD_S=1, PRINT_READINGS=1)
    stream, batch = new_stream(), [wide(seq, range(8)) for seq in (1, 2, 3)]
    batch[0][0]["bt"] = int(time.time()) + 2 * DAY_S
    peer = Peer(lab.client(central))
    for _ in range(2):
        assert peer.ask(stream, 1, senml(batch), 3)["stored"] == [[stream, 1, 3]]

    def counted():
        counters = json.loads(client.messages("stats/broker/ingest/wide")[-1].payload)
        assert [counters[name] for name in ("readings", "duplicates", "ahead")] == [3, 3, 1]
        return True

    eventually(lambda: client.messages("stats/broker/ingest/wide") and counted(), "the counters")
    assert made(lab.database) == [2, 8, 6]
    assert sorted(lab.database.clock_marks()) == [0, 0, 0, 0, 3, 3]
    lines = [line for line in ingest.stdout().splitlines() if line.startswith("Topic=")]
    assert len(lines) == 3 and all(line.count("q") == 8 for line in lines)


def test_the_papers_query_shows_one_reading(lab, peer):
    """Temperature and humidity of a reading of three rows, whenever they first came."""
    stream = new_stream()
    store(peer, stream, [range(8), range(8, 16)])
    values = {"temperature": 21.5, "q1": 1, "q7": 2, "q15": 3, "humidity": 40}
    peer.ask(stream, 3, senml([reading(3, "adc", **values)]), 1)
    assert made(lab.database)[2] == 2 + 2 + 3
    _, rows = lab.database.dht()
    assert [values for _, *values in rows] == [["/data/bench", 21.5, 40]]
    assert ("adc", (BASE_TIME_S + 3) * 10**6, values) in lab.database.readings()


def test_retention_is_for_all_parts(lab, central, peer):
    """An override for the sensor takes old rows of every part; each quantity is counted, also if late."""
    now = int(time.time())
    stream = new_stream()

    def send(first, *ages_s):
        batch = []
        for sensor in ("adc", "other"):
            for age_s in ages_s:
                batch.append(reading(1, sensor, **{f"q{n}": float(n) for n in range(8)}))
                batch[-1][0]["bt"] = now - age_s
        assert peer.ask(stream, first, senml(batch), len(batch))["stored"] == [[stream, first, len(batch)]]

    send(1, 3 * DAY_S, DAY_S, 0)
    client = watching(lab, central)
    lab.pruner(central, RETENTION="raw:5d,1m:1y", RETENTION_BENCH_ADC="raw:2h,1m:1y")
    eventually(lambda: reports(client), "the run is over")

    def left():
        return Counter((name, len(values)) for name, _, values in lab.database.readings())

    def counted(n):
        """Of the minutes that are over, each quantity of either sensor has so many."""
        sql = "SELECT sensor, quantity, sum(count), min(min), max(max) FROM reading_1m GROUP BY 1, 2 ORDER BY 1, 2"
        rows = [(s, f"q{q}", n, float(q), float(q)) for s in ("adc", "other") for q in range(8)]
        assert lab.database.query(sql) == rows

    assert left() == {("adc", 8): 1, ("other", 8): 3}
    counted(2)
    send(7, 2 * DAY_S, DAY_S)
    report = order(client)
    # Rows: a reading has two of them.
    assert (report["outcome"], report["counted"], report["readings"]) == ("done", 8, 4)
    assert left() == {("adc", 8): 1, ("other", 8): 5}
    counted(4)
