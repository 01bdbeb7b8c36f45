"""A million readings: collecting them, and holding them against a ledger in columns."""

from array import array
from collections import Counter

from harness.database import Database
from harness.wait import eventually


def collect(lab, local, publisher, readings, sensors, seed=1, deadline_s=600):
    """Fill a publisher's outbox while the centre is away; returns the sampler, which is done.

    Each of the sensors gives 1,000 readings a second, as far as the node's broker can follow.
    """
    each, rest = divmod(readings, sensors)
    assert rest == 0
    sources = ",".join(f"s{i}=sim@{seed * 100 + i},count={each}" for i in range(sensors))
    # With a wide window the publisher's memory fills, and it writes at once: no waiting for
    # SPILL_AFTER_MS every few thousand readings.
    sampler = lab.sampler(local, sources, PERIOD_MS=1, WINDOW=16000, RING_SIZE=readings)
    outbox = Database(publisher.outbox_path)
    newest = "SELECT max(seq) FROM reading"
    eventually(
        lambda: outbox.query(newest) == [(readings,)],
        f"{readings} readings are collected",
        deadline_s,
    )
    eventually(
        lambda: accepted_count(sampler.ledger_path) == readings, "all of them are accepted"
    )
    assert outbox.count() == readings
    return sampler


class Columns:
    """The readings of one sensor in a ledger, in the order they were sampled."""

    def __init__(self):
        self.ts = array("q")
        self.temperature = array("d")
        self.humidity = array("d")

    def rows(self):
        """(ts_us, temperature, humidity) of each, by time."""
        return sorted(zip(self.ts, self.temperature, self.humidity))


def ledger_columns(path):
    """{sensor: Columns} of a sim sampler's ledger; half a last line does not count."""
    sensors = {}
    with open(path, encoding="utf-8") as ledger:
        for line in ledger:
            if not line.startswith("reading ") or not line.endswith("\n"):
                continue
            _, _, sensor, ts, temperature, humidity = line.split(" ")
            columns = sensors.setdefault(sensor, Columns())
            columns.ts.append(int(ts))
            columns.temperature.append(float(temperature.split("=")[1]))
            columns.humidity.append(float(humidity.split("=")[1]))
    return sensors


def first_stream(path):
    """The stream of a ledger's first run."""
    with open(path, encoding="utf-8") as ledger:
        word, stream = ledger.readline().split()
    assert word == "run", f"{path} is not a ledger"
    return stream


def accepted_count(path):
    """How many readings a ledger of one run says were accepted, repetitions left out."""
    ranges = []
    with open(path, encoding="utf-8") as ledger:
        for line in ledger:
            if line.startswith("accepted ") and line.endswith("\n"):
                first, count = line.split(" ")[1:]
                ranges.append((int(first), int(first) + int(count)))
    total = covered = 0
    for first, end in sorted(ranges):
        total += max(0, end - max(first, covered))
        covered = max(covered, end)
    return total


def missing_and_extra(database, ledger_path):
    """(readings of the ledger that are not stored, rows stored twice or never sampled)."""
    missing = extra = 0
    for sensor, columns in ledger_columns(ledger_path).items():
        stored = sorted(
            database.query(
                "SELECT ts, temperature, humidity FROM reading JOIN sensor"
                " ON sensor.id = reading.sensor WHERE sensor.name = ?",
                sensor,
            )
        )
        sampled = columns.rows()
        if stored != sampled:
            missing += (Counter(sampled) - Counter(stored)).total()
            extra += (Counter(stored) - Counter(sampled)).total()
    return missing, extra
