"""The lease in a file: frozen and killed holders, older versions, and what is written for it."""

import hashlib
import json
import sqlite3
import threading
import time
from collections import Counter

import pytest

from harness import Peer, eventually
from harness.byte_lock import held_byte
from harness.peer import new_stream, senml
from harness.pruning import DAY_S, at, reports, said, watching

TOPIC = "/data/thermometer"


def publish(device, value):
    device.publish(TOPIC, json.dumps({"temperature": value}))


def stored(lab):
    """Counter of the values of plain messages."""
    return Counter(values["temperature"] for _, _, values in lab.database.readings())


def until_stored(lab, device, value):
    """Send until whoever holds the lease has subscribed."""

    def done():
        publish(device, value)
        return stored(lab)[value] > 0

    eventually(done, f"{value} is stored")


def two_ingests(lab, central):
    """(holder, the other one), with plain messages on their way."""
    ingests = [lab.ingest(central), lab.ingest(central)]
    name, _ = eventually(lambda: lab.database.lease("plain"), "a holder")
    ingests.sort(key=lambda ingest: f"ingest-{ingest.settings['INSTANCE']}" != name)
    return ingests


LOST = "another replica takes the plain messages now"
OVER = "the lease for plain messages cannot be renewed; another replica may take them"


@pytest.mark.stores
def test_a_frozen_holder_is_followed_and_does_no_harm_when_it_wakes(lab, central):
    """SIGSTOP for longer than the lease is good: the other one stores; then the first finds out."""
    frozen, other = two_ingests(lab, central)
    _, number = lab.database.lease("plain")
    device = lab.client(central)
    until_stored(lab, device, 1)
    frozen.freeze()
    until_stored(lab, device, 2)
    lease = lab.database.lease("plain")
    assert lease == (f"ingest-{other.settings['INSTANCE']}", number + 1)
    frozen.thaw()
    # By its own clock, or by the row: whichever it comes to first.
    eventually(lambda: said(frozen, LOST) + said(frozen, OVER), "the first one has found out")
    for value in range(10, 60):
        publish(device, value)
    eventually(lambda: stored(lab)[59], "what comes afterwards is stored")
    assert all(stored(lab)[value] == 1 for value in range(10, 60))
    assert lab.database.lease("plain") == lease


def test_a_killed_holder_leaves_no_lock(lab, central):
    """The kernel frees the byte at once, so the next one need not wait (test_store_lease.c)."""
    holder, other = two_ingests(lab, central)
    device = lab.client(central)
    until_stored(lab, device, 1)
    _, number = lab.database.lease("plain")
    assert held_byte(lab.database_path, "plain", number) is not None
    holder.kill()
    assert held_byte(lab.database_path, "plain", number) is None
    until_stored(lab, device, 2)
    assert lab.database.lease("plain") == (f"ingest-{other.settings['INSTANCE']}", number + 1)


# ---- nothing is written ----


def contents(lab):
    """Size, time and content of every file of the database."""
    found = {}
    for path in sorted(lab.directory.glob("broker.db*")):
        status = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[path.name] = (status.st_size, status.st_mtime_ns, digest)
    return found


def moves(lab, lease, number):
    """Returns a function: how often the holder's byte has been seen to move."""
    seen = []

    def count():
        byte = held_byte(lab.database_path, lease, number)
        if not seen or seen[-1] != byte:
            seen.append(byte)
        assert byte is not None
        return len(seen) - 1

    return count


def test_an_idle_centre_writes_nothing(lab, central):
    """Three renewals, two ingests and ten runs of a pruner: not one byte in any file of the database."""
    two_ingests(lab, central)
    client = watching(lab, central)
    peer = Peer(lab.client(central))
    assert "stored" in peer.ask(new_stream(), 1, senml([at(2 * DAY_S, 7)]), 1)
    lab.pruner(central, PRUNE_INTERVAL_S=1, RETENTION="raw:30d,1m:1y,1h:10y")
    eventually(lambda: lab.database.query("SELECT 1 FROM rollup"), "the reading is counted")
    eventually(lambda: len(reports(client)) >= 2, "the run is over")
    _, number = lab.database.lease("plain")
    connection = sqlite3.connect(f"file:{lab.database_path}?mode=ro", uri=True, timeout=10)
    version = connection.execute("PRAGMA data_version").fetchone()
    renewed, runs = moves(lab, "plain", number), len(reports(client))
    before = contents(lab)
    eventually(lambda: renewed() >= 3, "the lease is renewed", poll_s=0.2)
    eventually(lambda: len(reports(client)) >= runs + 10, "runs of the pruner")
    assert contents(lab) == before
    assert connection.execute("PRAGMA data_version").fetchone() == version
    connection.close()


# ---- an older version on the same file ----

# Word for word what versions without byte locks run every 5 s.
OLD_RENEWAL = """
INSERT INTO lease (name, holder, number, expires) VALUES (?1, ?2, 1, ?3 + ?4)
 ON CONFLICT (name) DO UPDATE SET
  number = CASE typeof(number) WHEN 'integer' THEN number ELSE 0 END
   + (holder IS NOT ?2), holder = ?2,
  expires = CASE WHEN holder = ?2 AND typeof(expires) = 'integer'
   AND expires BETWEEN ?3 + ?4 AND ?3 + 2 * ?4 THEN expires + 1 ELSE ?3 + ?4 END
 WHERE holder = ?2 OR expires < ?3 OR expires > ?3 + 2 * ?4
  OR typeof(expires) <> 'integer' OR ?5
 RETURNING number
"""
TTL_US, OLD_EVERY_S = 15_000_000, 5.0


class OldReplica(threading.Thread):
    """An older ingest as far as the lease goes; it takes no messages."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.ended, self.held = path, threading.Event(), []
        self.seen, self.seen_at = None, 0.0

    def run(self):
        while not self.ended.is_set():
            self.held.append(self._renew())
            self.ended.wait(OLD_EVERY_S)

    def _renew(self):
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT number, expires FROM lease WHERE name = 'plain'").fetchone()
            now_us = time.time_ns() // 1000
            values = ("plain", "ingest-old", now_us, TTL_US, self._stands_still(row))
            rows = connection.execute(OLD_RENEWAL, values).fetchall()
            connection.execute("COMMIT")
            return bool(rows)
        finally:
            connection.close()

    def _stands_still(self, row):
        """It takes over a row that it has seen unchanged for the lease's time."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        held = bool(self.held) and self.held[-1]
        if held or row != self.seen:
            self.seen, self.seen_at = row, now
        return row is not None and now - self.seen_at > TTL_US / 1e6

    def end(self):
        self.ended.set()
        self.join(20)


def test_beside_an_older_version_hands_change_once(lab, central):
    """It takes the lease and keeps it, as long as it runs; plain messages are stored once."""
    new = lab.ingest(central)
    device = lab.client(central)
    until_stored(lab, device, 0)
    _, number = lab.database.lease("plain")
    old = OldReplica(lab.database_path)
    old.start()
    try:
        eventually(lambda: said(new, LOST), "the older one has it")
        for value in range(1, 51):
            publish(device, value)
        eventually(lambda: len(old.held) >= 5, "it is renewed", poll_s=0.2)
        assert all(old.held)
        assert lab.database.lease("plain") == ("ingest-old", number + 1)
    finally:
        old.end()
    # Frozen or killed, which is the same here: it does not give the lease up.
    eventually(lambda: lab.database.lease("plain")[0] != "ingest-old", "the newer one has it again")
    eventually(lambda: stored(lab)[50], "what waited in the broker is stored")
    until_stored(lab, device, 51)
    assert [stored(lab)[value] for value in range(1, 51)] == [1] * 50
    assert lab.database.lease("plain") == (f"ingest-{new.settings['INSTANCE']}", number + 2)


def test_an_older_holder_is_respected(lab, central):
    """A newer replica that comes later waits as long as the row is renewed."""
    first = lab.ingest(central)
    first.stop()
    old = OldReplica(lab.database_path)
    old.start()
    try:
        eventually(lambda: lab.database.lease("plain"), "the older one has it")
        lease = lab.database.lease("plain")
        lab.ingest(central)
        eventually(lambda: len(old.held) >= 5, "it is renewed", poll_s=0.2)
        assert all(old.held)
        assert lab.database.lease("plain") == lease
    finally:
        old.end()
    eventually(lambda: lab.database.lease("plain")[1] > lease[1], "the newer one takes it then")
