"""What a file holds: all that its damage may cost."""

import contextlib
import sqlite3


def _query(path, sql):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def of_outbox(path):
    """Which (stream, seq) are in an outbox."""
    sql = "SELECT lower(hex(stream.stream)), seq FROM reading JOIN stream ON stream.id = reading.stream"
    return set(_query(path, sql))


def of_database(path):
    """Which (stream, seq) the centre's database has taken."""
    sql = (
        "SELECT lower(hex(stream.stream)), first, last FROM stream"
        " JOIN stream_interval AS held ON held.stream = stream.id"
    )
    return {(stream, seq) for stream, first, last in _query(path, sql) for seq in range(first, last + 1)}


@contextlib.contextmanager
def still(*services):
    """Nobody writes to a file while it is looked at and damaged."""
    for service in services:
        service.freeze()
    try:
        yield
    finally:
        for service in services:
            service.thaw()
