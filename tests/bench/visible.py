"""When a row becomes visible to somebody who reads the database."""

import sqlite3
import threading
import time


class Watcher(threading.Thread):
    """Asks the database whether anything was committed, and if so, which readings of one sensor.

    `seen` holds (ts_us, seen_us) of each reading, the second never too early and at most one
    pause and one question too late. `commits` counts the questions that found a reading.
    """

    def __init__(self, database_path, sensor, pause_s):
        super().__init__(daemon=True)
        self.seen = []
        self.commits = 0
        self._path = database_path
        self._sensor = sensor
        self._pause_s = pause_s
        self._ended = threading.Event()

    def run(self):
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=10)
        version = row = None
        last_ts = 0
        while not self._ended.is_set():
            now_version = connection.execute("PRAGMA data_version").fetchone()[0]
            if now_version == version:
                time.sleep(self._pause_s)
                continue
            version = now_version
            row = row or self._find_sensor(connection)
            if row is None:
                continue
            new = connection.execute(
                "SELECT ts FROM reading WHERE sensor = ? AND ts > ? ORDER BY ts", (row, last_ts)
            ).fetchall()
            now_us = time.time_ns() // 1000
            self.seen += [(ts, now_us) for (ts,) in new]
            if new:
                self.commits += 1
                last_ts = new[-1][0]
        connection.close()

    def _find_sensor(self, connection):
        found = connection.execute(
            "SELECT id FROM sensor WHERE name = ?", (self._sensor,)
        ).fetchone()
        return found[0] if found else None

    def stop(self):
        self._ended.set()
        self.join(10)
