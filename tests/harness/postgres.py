"""A real PostgreSQL on a free loopback port, and its database read from outside."""

import os
import pwd
import shutil
import signal
import subprocess
from decimal import Decimal
from pathlib import Path

import psycopg2

from harness.broker import HOST, free_port
from harness.database import Database, joined, whole_readings
from harness.process import Process
from harness.wait import eventually

USER = "dewpoint"
NAME = "dewpoint"


def find_programs():
    """The folder of initdb and postgres, which Debian keeps out of PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    assert versions, "postgresql is not installed"
    return versions[-1]


def unprivileged(command):
    """PostgreSQL runs neither as root nor as somebody without a name: in a namespace where
    we have the number of its package's user."""
    account = pwd.getpwnam("postgres")
    mapping = [f"--map-user={account.pw_uid}", f"--map-group={account.pw_gid}"]
    return [shutil.which("unshare"), "--user", *mapping, *command]


# Files of the cluster's own: what a killed server leaves in /dev/shm, nobody removes.
SHARED_MEMORY = "dynamic_shared_memory_type=mmap"


class Postgres:
    """A cluster of its own: made, started, killed with all its processes, started again."""

    def __init__(self, directory, settings=()):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data = self.directory / "data"
        self.port = free_port()
        programs = find_programs()
        command = [programs / "initdb", "--no-sync", "-D", self.data, "-U", USER, "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C.UTF-8", "-c", SHARED_MEMORY]
        made = subprocess.run(
            [str(part) for part in unprivileged(command)], capture_output=True, text=True, timeout=60
        )
        assert made.returncode == 0, made.stderr
        command = [programs / "postgres", "-D", self.data]
        for setting in (
            f"listen_addresses={HOST}",
            f"port={self.port}",
            "unix_socket_directories=",
            "max_connections=30",
            "shared_buffers=64MB",
            SHARED_MEMORY,
            *settings,
        ):
            command += ["-c", setting]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        self.process = Process("postgres", unprivileged(command), self.directory, environment)

    def url(self, name=NAME):
        return f"postgresql://{USER}@{HOST}:{self.port}/{name}"

    def connect(self, name=NAME):
        return psycopg2.connect(self.url(name), connect_timeout=10)

    def start(self):
        """Start it, make the database if there is none, wait until it answers."""
        self.process.spawn()
        eventually(self._answers, "PostgreSQL answers")
        return self

    def _answers(self):
        assert self.process.running(), self.process.stderr()
        try:
            connection = self.connect("postgres")
        except psycopg2.OperationalError as error:
            raise AssertionError(str(error)) from None
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (NAME,))
            if not cursor.fetchall():
                cursor.execute(f"CREATE DATABASE {NAME}")
        connection.close()
        return True

    def backends(self):
        """The processes of the server, children of the first."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split()]

    def freeze(self):
        """SIGSTOP to all of it."""
        self.process.freeze()  # first: it starts no more of them
        for child in self.backends():
            os.kill(child, signal.SIGSTOP)

    def thaw(self):
        for child in self.backends():
            os.kill(child, signal.SIGCONT)
        self.process.thaw()

    def kill(self):
        """SIGKILL to the first process and to all of its children."""
        if not self.process.running():
            return
        self.process.freeze()  # it starts no more of them
        children = self.backends()
        self.process.kill()
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except ProcessLookupError:
                pass
        eventually(lambda: not any(_lives(child) for child in children), "its processes are gone")

    def stop(self):
        """SIGINT, "fast": sessions are ended."""
        self.process.child.send_signal(signal.SIGINT)
        assert self.process.wait_exit(30) == 0, self.process.stderr()[-2000:]

    def execute(self, sql, *parameters):
        """One statement, committed; its rows if it has any."""
        connection = self.connect()
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()


def _lives(pid):
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"


class _Connection:
    """As much of sqlite3's as Database uses."""

    def __init__(self, connection):
        self.connection = connection

    def execute(self, sql, parameters=()):
        cursor = self.connection.cursor()
        cursor.execute(sql.replace("?", "%s"), parameters or None)
        return cursor


class PostgresDatabase(Database):
    """What Database says of an SQLite file, said of a PostgreSQL server."""

    def __init__(self, postgres):
        super().__init__(None)
        self.postgres = postgres

    def query(self, sql, *parameters):
        rows = self._read(lambda c: c.execute(sql, parameters).fetchall(), [])
        return [tuple(_plain(value) for value in values) for values in rows]

    def _read(self, read, empty):
        try:
            connection = self.postgres.connect()
        except psycopg2.OperationalError as error:
            raise AssertionError(f"the server is away: {error}") from None
        try:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            return read(_Connection(connection))
        except psycopg2.errors.UndefinedTable:
            return empty
        except psycopg2.OperationalError as error:
            raise AssertionError(f"the server went away: {error}") from None
        finally:
            connection.close()

    def readings(self):
        time_us = "(extract(epoch FROM ts) * 1000000)::bigint"
        return self._read(lambda connection: whole_readings(connection, time_us), [])

    def lost(self, stream):
        sql = "SELECT first, first + count - 1 FROM lost WHERE stream = ? ORDER BY first"
        return joined(self.query(sql, bytes.fromhex(stream)))

    def intervals(self, stream):
        sql = "SELECT lower(run), upper(run) - 1 FROM stream, unnest(stored) AS run WHERE stream = ?"
        return sorted(self.query(sql, bytes.fromhex(stream)))

    def consumed(self):
        sql = "SELECT sum(upper(run) - lower(run)) FROM stream, unnest(stored) AS run"
        return sum(n or 0 for (n,) in self.query(sql))

    def lease(self, name):
        sql = "SELECT holder, number FROM lease WHERE name = ? AND expires > '-infinity'"
        rows = self.query(sql, name)
        return rows[0] if rows else None


def _plain(value):
    """As sqlite3 gives it."""
    if isinstance(value, Decimal):
        return int(value)
    return bytes(value) if isinstance(value, memoryview) else value
