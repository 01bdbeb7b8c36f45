"""What the Python stand-ins share: SenML into rows, and ingest's table for them."""

import json
import sqlite3

SCHEMA = """
CREATE TABLE sensor (id INTEGER PRIMARY KEY, topic TEXT, name TEXT, UNIQUE (topic, name));
CREATE TABLE reading (
  sensor INTEGER NOT NULL, ts INTEGER NOT NULL, id INTEGER NOT NULL, clock INTEGER NOT NULL,
  temperature REAL, humidity REAL,
  v2 REAL, v3 REAL, v4 REAL, v5 REAL, v6 REAL, v7 REAL,
  PRIMARY KEY (sensor, ts, id)
) WITHOUT ROWID;
"""
INSERT = (
    "INSERT INTO reading (sensor, ts, id, clock, temperature, humidity) VALUES (?, ?, ?, 0, ?, ?)"
)


class Store:
    """A database as durable as ingest's: WAL, and synced at each commit."""

    def __init__(self, path):
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=FULL")
        self.database.executescript(SCHEMA)
        self.sensors = {}
        self.id = 0

    def _sensor(self, topic, name):
        sensor = self.sensors.get((topic, name))
        if sensor is None:
            cursor = self.database.execute(
                "INSERT INTO sensor (topic, name) VALUES (?, ?)", (topic, name)
            )
            sensor = self.sensors[topic, name] = cursor.lastrowid
        return sensor

    def rows(self, message):
        """One row a reading: a record with a base name begins one."""
        topic = message.topic
        found = []
        row = None
        for record in json.loads(message.payload):
            if "bn" in record:
                self.id += 1
                ts = int(record["bt"] * 1_000_000)
                row = [self._sensor(topic, record["bn"]), ts, self.id, None, None]
                found.append(row)
            row[3 if record["n"] == "temperature" else 4] = record["v"]
        return found
