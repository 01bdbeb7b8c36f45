"""Captures of real sensors: what the line said is what the database says."""

import json
from collections import Counter
from pathlib import Path

import pytest

from harness import Ledger, eventually
from harness.service import run_service

DATA = Path(__file__).resolve().parents[1] / "data"
TRUTH = json.loads((DATA / "truth.json").read_text())["files"]
DRIVERS = {"DHT11": "dht11"}


def model(entry):
    return DRIVERS.get(entry["sensor"], "dht22")


def by_file(entry):
    return entry["file"]


@pytest.mark.parametrize("entry", TRUTH, ids=by_file)
def test_decode_prints_the_truth(entry):
    """sampler --decode: one line a transaction, t_ns, humidity, temperature, status."""
    trace = (DATA / entry["file"]).read_text()
    done = run_service("sampler", "--decode", model(entry), stdin=trace)
    assert done.returncode == 0, done.stderr
    decoded = []
    for line in done.stdout.splitlines():
        t_ns, humidity, temperature, status = line.split("\t")
        decoded.append((int(t_ns), float(humidity), float(temperature), status))
    expected = [
        (t["t_ns"], t["humidity"], t["temperature"], "ok") for t in entry["transactions"]
    ]
    assert decoded == expected


def test_replayed_captures_reach_the_database(lab, local, central):
    """Every transaction of each capture, replayed once, is a row with the capture's values."""
    lab.ingest(central)
    lab.publisher(local, central)
    sensors = {f"s{number}": entry for number, entry in enumerate(TRUTH)}
    setting = ",".join(
        f"{name}=replay@{DATA / entry['file']}" for name, entry in sensors.items()
    )
    sampler = lab.sampler(local, setting, PERIOD_MS=20)
    # The captures loop: each must have come round completely at least once.
    longest = max(len(entry["transactions"]) for entry in TRUTH)

    def once_round():
        seen = Counter(sensor for sensor, _, _ in lab.database.readings())
        assert all(seen[name] >= longest for name in sensors), seen
        return True

    eventually(once_round, "each capture is stored completely")
    sampler.stop()
    ledger = Ledger(sampler.ledger_path)
    eventually(lambda: lab.database.rows() == ledger.rows(), "all that was sampled is stored")
    for name, entry in sensors.items():
        truth = [(t["temperature"], t["humidity"]) for t in entry["transactions"]]
        stored = [
            (values["temperature"], values["humidity"])
            for sensor, _, values in sorted(lab.database.readings(), key=lambda row: row[1])
            if sensor == name
        ]
        rounds = -(-len(stored) // len(truth))
        assert stored == (truth * rounds)[: len(stored)], name


def test_a_truncated_capture_is_reported(tmp_path):
    """A capture that ends inside a transaction is no good reading and is named as such."""
    lines = (DATA / "am2302_1mhz.csv").read_text().splitlines()
    done = run_service("sampler", "--decode", "dht22", stdin="\n".join(lines[:40]) + "\n")
    statuses = [line.split("\t")[3] for line in done.stdout.splitlines()]
    assert statuses == ["short"], (done.stdout, done.stderr)


def test_a_malformed_capture_stops_the_sampler(tmp_path):
    """A trace that is not one: exit 78 with the file's name and the line."""
    trace = tmp_path / "broken.csv"
    trace.write_text("t_ns,level\n1000,1\nsoon,0\n")
    done = run_service(
        "sampler", MQTT_URL="mqtt://127.0.0.1:1", SENSORS=f"climate=replay@{trace}", RUN_DIR=tmp_path
    )
    assert done.returncode == 78, done.stderr
    assert str(trace) in done.stderr
    assert "3" in done.stderr.replace(str(trace), "")
