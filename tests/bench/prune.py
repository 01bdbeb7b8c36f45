"""Half of a large table goes while somebody writes: by the pruner, and by one DELETE."""

import json
import shutil
import sqlite3
import threading
import time

import history
from harness import eventually
from harness.usage import cpu_ns
from runs import memory_mb
from table import Row
from disk import percentile

ROWS = 10_000_000
SENSORS = 50
WRITES_A_S = 20
WRITTEN = 10  # rows of a write
ALONE_S = 10


class Writer(threading.Thread):
    """Commits some rows 20 times a second, synced, and notes how long each commit took."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.took_ms = []
        self.wal_bytes = 0
        self._ended = threading.Event()

    def run(self):
        connection = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")
        wal = self.path.with_name(self.path.name + "-wal")
        due = time.monotonic()
        while not self._ended.wait(max(0, due - time.monotonic())):
            begin = time.perf_counter()
            self._write(connection)
            self.took_ms.append((time.perf_counter() - begin) * 1000)
            self.wal_bytes = max(self.wal_bytes, wal.stat().st_size)
            due = max(due + 1 / WRITES_A_S, time.monotonic())
        connection.close()

    def _write(self, connection):
        connection.execute("BEGIN IMMEDIATE")
        ((first,),) = connection.execute("SELECT reading FROM next_id").fetchall()
        now_us = time.time_ns() // 1000
        rows = [(1 + (first + i) % SENSORS, now_us, first + i) for i in range(WRITTEN)]
        connection.executemany(
            "INSERT INTO reading (sensor, ts, id, clock, temperature, humidity)"
            " VALUES (?, ?, ?, 0, 20.5, 50.5)",
            rows,
        )
        connection.execute("UPDATE next_id SET reading = ?", (first + WRITTEN,))
        connection.execute("COMMIT")

    def stop(self):
        """Figures of all its writes."""
        self._ended.set()
        self.join(60)
        took = sorted(self.took_ms)
        return {
            "stall_max_ms": took[-1],
            "stall_p99_ms": percentile(took, 0.99),
            "stall_p50_ms": percentile(took, 0.5),
            "writes": len(took),
            "wal_mb": self.wal_bytes / 1e6,
        }


def run_pruner(lab, broker, **settings):
    """One run to its report; what it took, its report and its highest resident memory."""
    reports = []
    client = lab.client(broker)

    def take(message):
        if not message.retain:  # of a run before
            reports.append(json.loads(message.payload))

    client.listen("retention/report", take)
    pruner = lab.pruner(broker, PRUNE_INTERVAL_S=86400, **settings)
    eventually(lambda: reports, "the run's report", 600)
    figures = {
        "cpu_s": cpu_ns(pruner.pid) / 1e9,
        "rss_mb": memory_mb(pruner.pid, "VmHWM"),
        "seconds": reports[-1]["duration_ms"] / 1000,
        "longest_step_ms": reports[-1]["longest_step_us"] / 1000,
        "readings": reports[-1]["readings"],
        "report": reports[-1],
    }
    pruner.stop()
    return figures


def beside(path, work):
    """work() while somebody writes."""
    writer = Writer(path)
    writer.start()
    figures = work()
    return {**(figures or {}), **writer.stop()}


def delete(path, before_us):
    """What anybody would write, with SQLite's defaults; the space goes back as well."""
    begin = time.thread_time()
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    connection.execute("DELETE FROM reading WHERE ts < ?", (before_us,))
    connection.execute("PRAGMA incremental_vacuum")
    connection.close()
    return {"cpu_s": time.thread_time() - begin}


def record(name, figures, extra):
    kept = ["stall_max_ms", "stall_p99_ms", "stall_p50_ms", "writes", "wal_mb", "cpu_s"]
    kept += ["seconds", "longest_step_ms", "rss_mb", "readings"]
    rounded = {key: round(figures[key], 3) for key in kept if key in figures}
    return {"bench": "prune", "way": name, "rows": ROWS, **rounded, **extra}


def measure(lab):
    """(records for bench.jsonl, rows of the table)."""
    broker = lab.broker()
    path = lab.database_path
    begin_us, end_us = history.make(path, ROWS, SENSORS)
    half_us = (begin_us + end_us) // 2
    copy = path.with_name("copy.db")
    shutil.copyfile(path, copy)
    nobody = beside(path, lambda: time.sleep(ALONE_S))
    rolled = beside(path, lambda: run_pruner(lab, broker, RETENTION="raw:1y,1m:1y,1h:10y"))
    before = path.stat().st_size
    age_s = time.time_ns() // 10**9 - half_us // 10**6
    ours = beside(
        path, lambda: run_pruner(lab, broker, RETENTION=f"raw:{age_s}s,1m:1y,1h:10y")
    )
    after = path.stat().st_size
    print("  " + json.dumps(ours.pop("report")), flush=True)
    theirs = beside(copy, lambda: delete(copy, half_us))
    copy.unlink()
    assert abs(ours["readings"] - ROWS // 2) <= SENSORS * 60, ours["readings"]
    sizes = {"bytes_before": before, "bytes_after": after}
    rows = [
        Row("a write with nobody beside, p99", nobody["stall_p99_ms"], "ms"),
        Row("a write with nobody beside, worst", nobody["stall_max_ms"], "ms"),
        Row("while 10M are counted: worst", rolled["stall_max_ms"], "ms"),
        Row("CPU of counting 10M", rolled["cpu_s"], "s"),
        Row("while 5M of 10M go: worst write", ours["stall_max_ms"], "ms", at_most=50),
        Row("p99", ours["stall_p99_ms"], "ms", at_most=10),
        Row("write-ahead log", ours["wal_mb"], "MB", at_most=16),
        Row("CPU of the pruner", ours["cpu_s"], "s", at_most=10),
        Row("it took", ours["seconds"], "s"),
        Row("file, of what it was", after / before, "", at_most=0.65),
        Row("RSS of the pruner, most", max(ours["rss_mb"], rolled["rss_mb"]), "MB", at_most=8),
        Row("one DELETE: worst write", theirs["stall_max_ms"], "ms"),
        Row("one DELETE: p99", theirs["stall_p99_ms"], "ms"),
        Row("one DELETE: write-ahead log", theirs["wal_mb"], "MB"),
        Row("one DELETE: CPU", theirs["cpu_s"], "s"),
    ]
    records = [
        record("nobody", nobody, {}),
        record("counting", rolled, {}),
        record("pruner", ours, sizes),
        record("delete", theirs, {}),
    ]
    return records, rows
