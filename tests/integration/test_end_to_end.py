"""A reading's whole way: sampler, local broker, publisher, central broker, ingest, database."""

import json
import re
from collections import Counter

import pytest

from harness.oracle import all_accepted

pytestmark = pytest.mark.stores


@pytest.mark.tsan
def test_every_reading_is_stored_once_with_its_values(lab, local, central):
    """Each line of the sampler's ledger is one row: same sensor, time and values, none twice."""
    lab.ingest(central)
    lab.publisher(local, central, node="raspberrypi4")
    sampler = lab.sampler(local, "bench=sim@42,count=2000", PERIOD_MS=1)
    ledger = all_accepted(sampler, 2000)
    assert lab.database.rows() == ledger.rows()
    assert lab.database.topics() == {"/data/raspberrypi4"}
    assert not ledger.dropped
    # Different readings, not one reading 2000 times.
    assert len(lab.database.rows()) == 2000


def test_two_sensors_on_one_node_keep_their_names(lab, local, central):
    """Readings of several sensors of one sampler share a stream and keep their own names."""
    lab.ingest(central)
    lab.publisher(local, central)
    sensors = "inside=sim@1,count=100,outside=sim@2,count=100"
    sampler = lab.sampler(local, sensors, PERIOD_MS=2)
    ledger = all_accepted(sampler, 200)
    assert lab.database.rows() == ledger.rows()
    sensors = Counter(sensor for sensor, _, _ in lab.database.rows())
    assert sensors == {"inside": 100, "outside": 100}


def test_the_papers_query(lab, local, central):
    """SELECT * FROM dht gives id, topic, temp and humidity of each reading, ids ascending."""
    lab.ingest(central)
    lab.publisher(local, central, node="orangepi0")
    sampler = lab.sampler(local, "climate=sim@7,count=50", PERIOD_MS=1)
    ledger = all_accepted(sampler, 50)
    columns, rows = lab.database.dht()
    assert columns == ["id", "topic", "temp", "humidity"]
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    assert {row[1] for row in rows} == {"/data/orangepi0"}
    sampled = Counter(
        (values["temperature"], values["humidity"]) for _, _, values in ledger.readings.values()
    )
    assert Counter((row[2], row[3]) for row in rows) == sampled


def test_readings_are_printed_in_the_papers_form(lab, local, central):
    """PRINT_READINGS=1: one line a reading on stdout, `Topic=..., Temp=...°C, Humidity=...%`."""
    ingest = lab.ingest(central, PRINT_READINGS=1)
    lab.publisher(local, central, node="orangepi0")
    sampler = lab.sampler(local, "climate=sim@7,count=20", PERIOD_MS=1)
    ledger = all_accepted(sampler, 20)
    ingest.stop()
    lines = ingest.stdout().splitlines()
    form = re.compile(r"Topic=/data/orangepi0, Temp=(-?[0-9.]+)°C, Humidity=([0-9.]+)%")
    printed = Counter()
    for line in lines:
        match = form.fullmatch(line)
        assert match, line
        printed[(float(match[1]), float(match[2]))] += 1
    sampled = Counter(
        (round(values["temperature"], 1), round(values["humidity"], 1))
        for _, _, values in ledger.readings.values()
    )
    assert printed == sampled


def test_nothing_is_printed_unless_asked(lab, local, central):
    """Without PRINT_READINGS, stdout stays empty."""
    ingest = lab.ingest(central)
    lab.publisher(local, central)
    all_accepted(lab.sampler(local, "climate=sim@7,count=20", PERIOD_MS=1), 20)
    ingest.stop()
    assert ingest.stdout() == ""


def test_a_link_that_is_up_writes_nothing_to_the_outbox(lab, local, central):
    """While ingest answers, no reading goes to the node's storage."""
    lab.ingest(central)
    publisher = lab.publisher(local, central, node="pi", SPILL_AFTER_MS=30000, STATS_PERIOD_S=1)
    all_accepted(lab.sampler(local, "bench=sim@42,count=500", PERIOD_MS=1), 500)
    watcher = lab.client(central)
    topic = f"stats/pi/publisher/{publisher.settings['INSTANCE']}"
    watcher.subscribe(topic)
    message = watcher.wait_message(topic, lambda m: json.loads(m.payload)["stored"] == 500)
    assert json.loads(message.payload)["spilled"] == 0
