"""What rollups cost beside inserting what they count, and what a chart of a year costs from them."""

import sqlite3
import time

import history
from harness import BoardClock
from prune import run_pruner
from runs import Load, Run, wait_settled
from table import Row
from disk import percentile

# Readings of a sensor in a minute: one a second from many sensors; a hundred from few, in large
# batches, which is what inserting costs least.
LOADS = {60: Load(8, 50, 1_000_000, sensors=8), 6000: Load(100, 50, 2_000_000)}
YEAR_US = 365 * 86400 * 1_000_000
SENSORS = 50
QUERIES = 20
CHART = """
SELECT ts, min, mean, max FROM reading_1h
WHERE topic = '/data/node-7' AND sensor = 'sensor0' AND quantity = 'temperature' AND ts >= ?
ORDER BY ts
"""


def insert_and_count(directory, load):
    """Ingest under load, then the pruner over what it stored: CPU of a reading, us."""
    with Run(directory) as run:
        lab = run.lab
        ingest = lab.ingest(run.broker)
        wait_settled([ingest])
        sender = run.load(load)
        run.begin([ingest.pid])
        sender.begin()
        told = sender.end()
        figures = run.figures(told["readings"], (told["end_ns"] - told["start_ns"]) / 1e9)
        # The load's readings are some minutes ahead of the time.
        clock = BoardClock(lab.directory, wall_s=time.time() + 86400)
        counted = run_pruner(
            lab, run.broker, CLOCK_FILE=clock.path, RETENTION="raw:1y,1m:1y,1h:10y"
        )
        assert counted["report"]["counted"] == told["readings"], counted["report"]
        (buckets,) = lab.database.query("SELECT sum(size = 60), sum(size = 3600) FROM rollup")
        sums = lab.database.query("SELECT size, sum(count) FROM rollup GROUP BY size")
        assert sums == [(60, 2 * told["readings"]), (3600, 2 * told["readings"])], sums
        return {
            "ingest_cpu_us": figures["cpu_us"],
            "rollup_cpu_us": counted["cpu_s"] * 1e6 / told["readings"],
            "rss_mb": counted["rss_mb"],
            "buckets_1m": buckets[0],
            "buckets_1h": buckets[1],
        }


def chart_ms(path, begin_us):
    """Sorted durations of the year's chart, each on a connection of its own; its points."""
    took = []
    for _ in range(QUERIES):
        begin = time.perf_counter()
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        points = connection.execute(CHART, (begin_us,)).fetchall()
        took.append((time.perf_counter() - begin) * 1000)
        connection.close()
    return sorted(took), len(points)


def chart(directory, rows):
    """On a file with so many readings of a year and their rollups."""
    path = directory / "year.db"
    begin_us, end_us = history.make(path, rows, SENSORS, YEAR_US * SENSORS // rows)
    history.make_rollups(path, SENSORS, 3600, begin_us, end_us)
    took, points = chart_ms(path, begin_us)
    figures = {
        "raw_rows": rows,
        "points": points,
        "chart_p50_ms": percentile(took, 0.5),
        "chart_max_ms": took[-1],
        "file_mb": path.stat().st_size / 1e6,
    }
    path.unlink()
    return figures


def measure(lab, rows=10_000_000):
    """(records for bench.jsonl, rows of the table)."""
    records, shown = [], []
    for filling, load in LOADS.items():
        cost = insert_and_count(lab.directory, load)
        share = cost["rollup_cpu_us"] / cost["ingest_cpu_us"]
        record = {"bench": "rollup", "batch": load.batch, "rollup_of_insert": round(share, 3)}
        records.append({**record, **{name: round(value, 3) for name, value in cost.items()}})
        shown += [
            Row(f"{filling} a minute, batches of {load.batch}: inserting one, CPU",
                cost["ingest_cpu_us"], "us"),
            Row("counting it in minutes and hours, CPU", cost["rollup_cpu_us"], "us"),
            Row("of inserting it", share, "", at_most=1 / 3),
            Row("RSS of the pruner, most", cost["rss_mb"], "MB", at_most=8),
        ]
    drawn = chart(lab.directory, rows)
    records.append({"bench": "rollup", **{name: round(n, 3) for name, n in drawn.items()}})
    shown += [
        Row(f"a year of hours beside {rows:,} readings", drawn["chart_p50_ms"], "ms", at_most=20),
        Row("at worst of 20", drawn["chart_max_ms"], "ms"),
        Row("points", drawn["points"], ""),
    ]
    return records, shown


def measure_full(lab):
    """The same beside a hundred million."""
    return measure(lab, 100_000_000)
