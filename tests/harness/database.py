"""The broker's database, read as anyone may read it: from outside, read-only."""

import sqlite3
from collections import Counter

from harness.ledger import row

COLUMNS = ["temperature", "humidity", "v2", "v3", "v4", "v5", "v6", "v7"]


class Database:
    """Reads the file anew for every question.

    Before the first service has made the file, it counts as empty.
    """

    def __init__(self, path):
        self.path = path

    def query(self, sql, *parameters):
        """All rows of one statement, as tuples."""
        return self._read(lambda connection: connection.execute(sql, parameters).fetchall(), [])

    def _read(self, read, empty):
        """read(connection) within one transaction: what it sees is of one instant."""
        if not self.path.exists():
            return empty
        connection = sqlite3.connect(
            f"file:{self.path}?mode=ro", uri=True, timeout=10, isolation_level=None
        )
        try:
            connection.execute("BEGIN")
            return read(connection)
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return empty
            raise
        finally:
            connection.close()

    def readings(self):
        """[(sensor name, ts_us, {quantity: value})], one per reading, however many rows it has."""
        return self._read(lambda connection: whole_readings(connection, "ts"), [])

    def count(self):
        """How many rows `reading` has."""
        return sum(n for (n,) in self.query("SELECT count(*) FROM reading"))

    def rows(self):
        """Counter of readings, to hold against Ledger.rows()."""
        return Counter(row(*reading) for reading in self.readings())

    def topics(self):
        """The topics under which readings are stored."""
        sql = "SELECT DISTINCT topic FROM sensor JOIN reading ON reading.sensor = sensor.id"
        return {topic for (topic,) in self.query(sql)}

    def channels(self):
        """{(quantity, unit)} of all sensors."""
        return set(self.query("SELECT quantity, unit FROM channel"))

    def clock_marks(self):
        """The clock mark of each reading, by time."""
        return [mark for (mark,) in self.query("SELECT clock FROM reading ORDER BY ts")]

    def dht(self):
        """(column names, rows) of the paper's query."""

        def read(connection):
            cursor = connection.execute("SELECT * FROM dht")
            return [column[0] for column in cursor.description], cursor.fetchall()

        return self._read(read, ([], []))

    def lost(self, stream):
        """[(first, last)] of a stream's lost numbers, neighbours joined."""
        sql = (
            "SELECT first, first + count - 1 FROM lost JOIN stream ON stream.id = lost.stream"
            " WHERE stream.stream = ? ORDER BY first"
        )
        return joined(self.query(sql, bytes.fromhex(stream)))

    def lost_count(self, stream):
        """The counter of lost readings in the stream's own row."""
        sql = "SELECT lost FROM stream WHERE stream = ?"
        return sum(lost for (lost,) in self.query(sql, bytes.fromhex(stream)))

    def intervals(self, stream):
        """[(first, last)] of the numbers of a stream that are consumed."""
        sql = (
            "SELECT first, last FROM stream_interval JOIN stream"
            " ON stream.id = stream_interval.stream WHERE stream.stream = ? ORDER BY first"
        )
        return self.query(sql, bytes.fromhex(stream))

    def consumed(self):
        """How many numbers of all streams are consumed, asked cheaply."""
        return sum(n or 0 for (n,) in self.query("SELECT sum(last - first + 1) FROM stream_interval"))

    def dead_letters(self):
        """Rows of dead_letter as dictionaries, oldest first."""
        names = ["topic", "reason", "seq", "bytes", "payload"]
        rows = self.query(f"SELECT {', '.join(names)} FROM dead_letter ORDER BY id")
        return [dict(zip(names, values)) for values in rows]

    def lease(self, name):
        """(holder, number) of a lease, or None."""
        rows = self.query("SELECT holder, number FROM lease WHERE name = ? AND expires > 0", name)
        return rows[0] if rows else None


def joined(ranges):
    """[(first, last)] with those that touch made one."""
    result = []
    for first, last in ranges:
        if result and result[-1][1] + 1 == first:
            result[-1] = (result[-1][0], last)
        else:
            result.append((first, last))
    return result


def whole_readings(connection, time_us):
    """The rows of all sensors; those of several parts of a sensor put together by their time."""
    names = {
        (sensor, column): quantity
        for sensor, column, quantity in connection.execute(
            "SELECT sensor, col, quantity FROM channel"
        ).fetchall()
    }
    sql = (
        f"SELECT sensor.id, topic, name, part, {time_us}, {', '.join(COLUMNS)}"
        " FROM reading JOIN sensor ON sensor.id = reading.sensor ORDER BY reading.id"
    )
    readings, newest = [], {}
    for sensor, topic, name, part, ts, *values in connection.execute(sql).fetchall():
        key = (topic, name, ts)
        if key not in newest or part in newest[key][0]:
            newest[key] = (set(), {})
            readings.append((name, ts, newest[key][1]))
        parts, quantities = newest[key]
        parts.add(part)
        quantities.update(named(values, sensor, names))
    return readings


def named(values, sensor, names):
    """{quantity: value} of a row, by what each column of its sensor is called."""
    return {names[sensor, at]: value for at, value in enumerate(values) if value is not None}
