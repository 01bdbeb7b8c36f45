"""What a read of a DHT22 on a GPIO line takes of the processor."""

import json
import time

from harness import Ledger, eventually
from harness.gpio import Chip
from harness.service import ROOT
from harness.usage import cpu_ns, wakeups
from table import Row

CAPTURE = "am2302_1mhz_3samples.csv"
SENSORS = 20
PERIOD_MS = 2000  # as often as a DHT22 may be asked; by turns, one every 100 ms
READS = 100


def truth():
    """What the capture's sensor said: (temperature, humidity)."""
    files = json.loads((ROOT / "tests/data/truth.json").read_text(encoding="utf-8"))["files"]
    said = next(file["transactions"] for file in files if file["file"] == CAPTURE)
    return {(each["temperature"], each["humidity"]) for each in said}


def values(path):
    """[(temperature, humidity)] of a ledger's readings."""
    readings = Ledger(path).readings.values()
    return [(said["temperature"], said["humidity"]) for _, _, said in readings]


class Usage:
    """What processes use between this object's creation and used()."""

    def __init__(self, *services):
        self._services = services
        self._begin = time.monotonic()
        self._before = [self._now(service) for service in services]

    @staticmethod
    def _now(service):
        return cpu_ns(service.pid), wakeups(service.pid)

    def used(self):
        """Seconds gone, and (CPU ms, wakeups) of each."""
        after = [self._now(service) for service in self._services]
        seconds = time.monotonic() - self._begin
        return seconds, [
            ((cpu - cpu_before) / 1e6, woken - woken_before)
            for (cpu, woken), (cpu_before, woken_before) in zip(after, self._before)
        ]


def measure(lab):
    """Sensors on a chip made of files; (record for bench.jsonl, rows of the table).

    A second sampler that has nothing to read runs beside the first; what it uses meanwhile is
    taken off. What remains is a read: start pulse, edges, decoding, the message and its answer,
    with the chip's files in place of the kernel's calls and a line in the ledger.
    """
    chip = Chip(lab.directory / "gpio", "pinctrl-bench")
    lines = [chip.line(number) for number in range(SENSORS)]
    for line in lines:
        line.trace((ROOT / "tests/data" / CAPTURE).read_text(encoding="ascii"))
    local, central = lab.broker(), lab.broker(start=False)
    lab.publisher(local, central, healthy=False)
    sensors = ",".join(f"s{number}=dht22@{line.name}" for number, line in enumerate(lines))
    settings = {"GPIO_FAKE": chip.root, "PERIOD_MS": PERIOD_MS}
    sampler = lab.sampler(local, sensors, **settings)
    idle = lab.sampler(local, "idle=sim@1/86400s", **settings)

    def read():
        return len(Ledger(sampler.ledger_path).readings)

    # The first answer of each sensor is stale and no reading; another round, and all are used
    # to their work.
    eventually(lambda: read() >= 2 * SENSORS, "all sensors are read", 60)
    before = read()
    usage = Usage(sampler, idle)
    eventually(lambda: read() >= before + READS, f"{READS} reads", 120)
    seconds, ((cpu_ms, woken), (idle_cpu_ms, idle_woken)) = usage.used()
    reads = read() - before
    wrong = sum(value not in truth() for value in values(sampler.ledger_path))
    record = {
        "bench": "sampler",
        "reads": reads,
        "seconds": round(seconds, 2),
        "cpu_ms": round((cpu_ms - idle_cpu_ms) / reads, 3),
        "wakeups": round((woken - idle_woken) / reads, 2),
        "idle_cpu_ms_per_s": round(idle_cpu_ms / seconds, 3),
        "idle_wakeups_per_s": round(idle_woken / seconds, 2),
        "wrong": wrong,
    }
    rows = [
        Row(f"a DHT22's read, of {reads}: time on a CPU", record["cpu_ms"], "ms", at_most=1),
        Row("and wakeups", record["wakeups"], ""),
        Row("taken off: a sampler without work, CPU", record["idle_cpu_ms_per_s"], "ms/s"),
        Row("and its wakeups", record["idle_wakeups_per_s"], "a second"),
        Row("wrong values", wrong, "readings", at_most=0, decisive=True),
    ]
    return record, rows
