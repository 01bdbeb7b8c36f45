"""Databases with a past, made quickly: readings of some sensors, up to now, and rollups."""

import sqlite3
import subprocess
import time

import runs

PERIOD_US = 2_000_000
SLICE = 2000  # readings of a sensor in a row, as a node's backlog or an hour of it
END_BEFORE_US = 600_000_000

FILL = """
WITH RECURSIVE k (i) AS (SELECT ?2 UNION ALL SELECT i + 1 FROM k WHERE i + 1 < ?3)
INSERT INTO reading (sensor, ts, id, clock, temperature, humidity)
SELECT ?1, ?4 + i * ?5, ?6 + i - ?2, 0, (200 + i % 100) / 10.0, (400 + i % 300) / 10.0 FROM k
"""


def make(path, rows, sensors, period_us=PERIOD_US):
    """`rows` readings in the file; (time of the first, of the end), in microseconds."""
    command = [runs.PROGRAMS / "alone", f"sqlite://{path}", 1, 1, 1, sensors, "history"]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    each = rows // sensors
    end_us = int(time.time()) * 1_000_000 - END_BEFORE_US
    begin_us = end_us - each * period_us
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA cache_size=-100000")
    connection.execute("DELETE FROM reading")
    connection.execute("UPDATE retention SET removed = 1")  # that one
    next_id = 2
    for first in range(0, each, SLICE):
        last = min(first + SLICE, each)
        connection.execute("BEGIN")
        for sensor in range(1, sensors + 1):
            connection.execute(FILL, (sensor, first, last, begin_us, period_us, next_id))
            next_id += last - first
        connection.execute("UPDATE next_id SET reading = ?", (next_id,))
        connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return begin_us, end_us


ROLLUPS = """
WITH RECURSIVE k (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM k WHERE i + 1 < ?3)
INSERT INTO rollup SELECT ?1, ?2, col, ?4 + i * ?1 * 1000000, 200, 20, 30, 5000, 24, 26, 0, 1
FROM k, (SELECT 0 AS col UNION ALL SELECT 1)
"""


def make_rollups(path, sensors, size_s, begin_us, end_us):
    """A bucket of this size after the other for each sensor's temperature and humidity."""
    begin_us -= begin_us % (size_s * 1_000_000)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("BEGIN")
    for sensor in range(1, sensors + 1):
        n = (end_us - begin_us) // (size_s * 1_000_000)
        connection.execute(ROLLUPS, (size_s, sensor, n, begin_us))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
