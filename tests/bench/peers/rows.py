"""What the Python stand-ins share: SenML into rows, and their table."""

import json
import sqlite3

INSERT = "INSERT INTO dht (topic, ts, temp, humidity) VALUES (?, ?, ?, ?)"


def rows(message):
    """One row a reading: a record with a base name begins one."""
    topic = message.topic
    found = []
    row = None
    for record in json.loads(message.payload):
        if "bn" in record:
            row = [topic, record["bt"], None, None]
            found.append(row)
        row[2 if record["n"] == "temperature" else 3] = record["v"]
    return found


def open_database(path):
    """As durable as ingest's: WAL, and synced at each commit."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute(
        "CREATE TABLE dht (id INTEGER PRIMARY KEY, topic TEXT, ts REAL, temp REAL, humidity REAL)"
    )
    return database
