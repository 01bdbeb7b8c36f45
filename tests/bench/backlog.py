"""A backlog: what a publisher collected while the centre was away, when the centre is back."""

import time
from pathlib import Path

from visible import Watcher

from harness import eventually
from harness.bulk import collect, first_stream, missing_and_extra
from table import Row

READINGS = 1_000_000
SENSORS = 16  # of 1,000 readings a second each
LIVE_PERIOD_MS = 20
PAUSE_S = 0.002
MB = 1_000_000


class Memory:
    """The resident set of a process, in MB, sampled; its peak as the kernel saw it."""

    def __init__(self, pid):
        self.pid = pid
        self.samples = []

    def _field(self, name):
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024 / MB
        raise AssertionError(f"no {name} in /proc/{self.pid}/status")

    def forget_peak(self):
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    def peak(self):
        return self._field("VmHWM")

    def sample(self):
        self.samples.append(self._field("VmRSS"))

    def growth(self):
        """How much higher the second half of the samples went than the first."""
        half = len(self.samples) // 2
        return max(self.samples[half:]) - max(self.samples[:half])


def stored(lab, stream):
    """How much of a stream is stored, asked cheaply."""
    return sum(last - first + 1 for first, last in lab.database.intervals(stream))


def drain(lab, central, publisher, stream):
    """The centre comes back; (begin_us, end_us, waits of live readings in s, Memory)."""
    online = []
    memory = Memory(publisher.pid)
    central.start()
    lab.client(central).listen("status/#", lambda _: online.append(time.time_ns() // 1000))
    lab.ingest(central)
    watcher = Watcher(lab.database_path, "live", PAUSE_S)
    watcher.start()
    memory.forget_peak()

    def done():
        if online:
            memory.sample()
        return stored(lab, stream) == READINGS

    eventually(done, "the backlog is drained", 300)
    end_us = time.time_ns() // 1000
    eventually(lambda: watcher.seen[-1][0] > end_us, "live readings go on", 30)
    watcher.stop()
    begin_us = online[0]
    waits = [(seen - ts) / 1e6 for ts, seen in watcher.seen if begin_us <= ts <= end_us]
    return begin_us, end_us, waits, memory


def measure(lab):
    """A million readings collected, then drained; (record for bench.jsonl, rows of the table)."""
    local = lab.broker()
    central = lab.broker(start=False)
    publisher = lab.publisher(local, central, healthy=False, ANSWER_WITHIN=0)
    begin = time.monotonic()
    sampler = collect(lab, local, publisher, READINGS, SENSORS)
    collecting_s = time.monotonic() - begin
    outbox_bytes = publisher.outbox_path.stat().st_size
    collecting_rss = Memory(publisher.pid).peak()
    live = lab.sampler(local, "live=sim@99", PERIOD_MS=LIVE_PERIOD_MS)
    stream = first_stream(sampler.ledger_path)
    begin_us, end_us, waits, memory = drain(lab, central, publisher, stream)
    rate = READINGS / (end_us - begin_us) * 1e6
    live.stop()
    missing, extra = missing_and_extra(lab.database, sampler.ledger_path)
    live_missing, live_extra = missing_and_extra(lab.database, live.ledger_path)
    missing, extra = missing + live_missing, extra + live_extra
    assert (missing, extra) == (0, 0), f"{missing} readings are missing, {extra} rows too many"
    record = {
        "bench": "backlog",
        "readings": READINGS,
        "rate": round(rate),
        "live": len(waits),
        "live_worst_ms": round(max(waits) * 1000, 1),
        "publisher_rss_mb": round(memory.peak(), 1),
        "publisher_rss_growth_mb": round(memory.growth(), 1),
        "collect_rate": round(READINGS / collecting_s),
        "collect_rss_mb": round(collecting_rss, 1),
        "outbox_bytes": round(outbox_bytes / READINGS, 1),
        "missing": missing,
        "duplicates": extra,
    }
    rows = [
        Row(f"backlog of {READINGS:,} drained", rate, "readings/s", at_least=100_000),
        Row(f"worst of {len(waits)} live readings meanwhile", max(waits), "s", at_most=1),
        Row("publisher's memory, peak of the drain", memory.peak(), "MB", at_most=16),
        Row("and its growth from the first to the second half", memory.growth(), "MB", at_most=1),
        Row("collected through the node's broker", record["collect_rate"], "readings/s"),
        Row("publisher's memory, peak of the collecting", collecting_rss, "MB", at_most=16),
        Row("outbox file", record["outbox_bytes"], "bytes a reading"),
        Row("missing", missing, "readings", at_most=0),
        Row("duplicates", extra, "rows", at_most=0),
    ]
    return record, rows
