"""Live latency: from the sensor's reading to its committed row."""

from disk import fdatasync_ms, percentile
from visible import Watcher

from harness import eventually
from table import Row

READINGS = 600
PERIOD_MS = 100
PAUSE_S = 0.0002


def measure(lab):
    """Ten readings a second through all services; (record for bench.jsonl, rows of the table).

    A reading's time is the one in its row, set by the sampler when the sensor was read. It is
    stored when a reader of the database sees it. Same machine, same clock.
    """
    disk_before = fdatasync_ms(lab.directory)
    local, central = lab.broker(), lab.broker()
    lab.ingest(central)
    lab.publisher(local, central, ANSWER_WITHIN=0)
    # Started early: the first readings make the database's tables of sensors.
    warm_up = 20
    sensors = f"live=sim@1,count={READINGS + warm_up}"
    eventually(lambda: lab.database_path.exists(), "the database exists")
    watcher = Watcher(lab.database_path, "live", PAUSE_S)
    watcher.start()
    lab.sampler(local, sensors, PERIOD_MS=PERIOD_MS)
    total = READINGS + warm_up
    eventually(lambda: len(watcher.seen) >= total, f"{total} readings are stored", 120)
    watcher.stop()
    disk = sorted(disk_before + fdatasync_ms(lab.directory))

    ordered = sorted((seen - ts) / 1000 for ts, seen in watcher.seen[warm_up:])
    p50, p99 = percentile(ordered, 0.5), percentile(ordered, 0.99)
    record = {
        "bench": "latency",
        "readings": len(ordered),
        "rate": 1000 // PERIOD_MS,
        "commits": watcher.commits,
        "p50_ms": round(p50, 2),
        "p99_ms": round(p99, 2),
        "max_ms": round(ordered[-1], 2),
        "fdatasync_p50_ms": round(percentile(disk, 0.5), 2),
        "fdatasync_p99_ms": round(percentile(disk, 0.99), 2),
    }
    what = f"reading to committed row, {record['readings']} readings, {record['rate']}/s"
    rows = [
        Row(f"commits seen that held the {total} readings", watcher.commits, ""),
        Row(f"{what}: p50", p50, "ms", at_most=5),
        Row(f"{what}: p99", p99, "ms", at_most=15),
        Row(f"{what}: worst", ordered[-1], "ms"),
        Row("fdatasync of one page on the same disk: p50", record["fdatasync_p50_ms"], "ms"),
        Row("fdatasync of one page on the same disk: p99", record["fdatasync_p99_ms"], "ms"),
    ]
    return record, rows
