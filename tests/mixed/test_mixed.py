"""Nodes and centres are not updated in the same minute: either may be the older for months."""

import json
from collections import Counter

import pytest

from fault.systems import MOSQUITTO
from harness import Database, Ledger, eventually
from harness.service import ROOT
from mixed.conftest import OLD, become

# A publisher of today as it is unless told otherwise, and on a dear link.
DEFAULTS = {"ANSWER_WITHIN": None}
METERED = {"ANSWER_WITHIN": "1s", "COMPRESS": "deflate"}
SLOWLY = {"PERIOD_MS": 4}  # time for some batches between two moments


def schema(root):
    return sorted(path.name for path in (root / "common").glob("schema*.sql"))


# An older version refuses a file whose schema it does not know, as test_upgrade shows.
SAME = schema(ROOT) == schema(OLD.parent)
same_file = pytest.mark.skipif(not SAME, reason="today's files are not for the older version")
other_file = pytest.mark.skipif(SAME, reason="today's files are for the older version as well")


class Batches:
    """How many batches with which `v` have passed through the centre's broker so far."""

    def __init__(self, run):
        self.counts = Counter()
        run.lab.client(run.central).listen("/data/+/batch", self._on_batch)

    def _on_batch(self, message):
        self.counts[dict(message.properties.UserProperty)["v"]] += 1

    def wait_for(self, version, more=2):
        """Wait until so many more have come with it."""
        before = self.counts[version]
        eventually(lambda: self.counts[version] >= before + more, f"batches with v {version}", 60)


def stop_and_start(ingest, age):
    """An update, or the way back, as Compose does it."""
    ingest.stop()
    become(ingest, age)
    ingest.start()


def test_old_node_at_a_new_centre(run):
    run.lab.old = {"sampler", "publisher"}
    run.start()
    run.finish()


@pytest.mark.parametrize("settings", [DEFAULTS, METERED], ids=["defaults", "metered"])
def test_new_node_at_an_old_centre(run, settings):
    """It asks for what the centre does not know, and gets its readings stored all the same."""
    run.lab.old = {"ingest", "retention-pruner"}
    run.start(**settings)
    run.finish()
    assert run.lab.database.query("SELECT count(*) FROM dead_letter") == [(0,)]


def test_the_node_is_updated(run):
    """The outbox of the older publisher is read by today's, and the sampler's readings go on."""
    run.lab.old = {"sampler", "publisher"}
    run.start(SPILL_AFTER_MS=300)
    for _ in run.moments(1, 0.2, 0.4):
        run.central.kill()
        eventually(lambda: outbox_count(run) > 0, "readings are in the outbox")
        run.publisher.stop()
        become(run.publisher, "new")
        run.publisher.start(healthy=False)
        run.central.start()
    run.finish()


def outbox_count(run):
    return Database(run.publisher.outbox_path).count()


@same_file
def test_old_and_new_replicas(run):
    """On one file, taking turns, each killed twice."""
    run.lab.old = {"ingest"}
    run.start(**DEFAULTS)
    run.lab.old = set()
    run.ingests.append(run.lab.ingest(run.central))
    for number, _ in enumerate(run.moments(4)):
        run.ingests[number % 2].restart(healthy=False)
    run.finish()


@same_file
@pytest.mark.parametrize("first", ["old", "new"])
def test_one_of_old_and_new_takes_plain_messages(lab, first):
    """Whichever has the lease, and when it goes: each message of a device is stored once."""
    central = lab.broker(settings=MOSQUITTO / "broker.conf")
    ages = [first, "new" if first == "old" else "old"]
    replicas = [replica(lab, central, age) for age in ages]
    device = lab.client(central)
    for number in range(6):
        for value in range(20):
            device.publish("/data/device", json.dumps({"temperature": number * 20 + value}))
        # All is acknowledged then, so that a kill brings nothing twice.
        everything = Counter(float(value) for value in range(number * 20 + 20))
        eventually(lambda: temperatures(lab) == everything, f"round {number} is stored once", 40)
        replicas[number % 2].restart()
    lab.end()


def replica(lab, central, age):
    lab.old = {"ingest"} if age == "old" else set()
    return lab.ingest(central)


def temperatures(lab):
    return Counter(t for (t,) in lab.database.query("SELECT temperature FROM reading"))


@same_file
def test_the_centre_goes_back_and_forth(run):
    """In the middle of a flow of encoded batches: the older one postpones them, none is lost."""
    run.lab.old = {"ingest"}
    run.start(sampler=SLOWLY, **METERED)
    # A pruner of today is none of this; the old one would have to be stopped as well.
    run.pruner.kill()
    (ingest,) = run.ingests
    batches = Batches(run)
    for (age, version), _ in zip((("new", "2"), ("old", "1"), ("new", "1")), run.moments(3, 0.1, 0.6)):
        stop_and_start(ingest, age)
        # It is some time before a node offers them again to a centre that did not take them.
        batches.wait_for(version)
    run.finish()
    assert run.lab.database.query("SELECT count(*) FROM dead_letter") == [(0,)]


@other_file
def test_the_centre_goes_back_to_a_file_of_its_own(run):
    """The older one refuses today's file; with another one it takes what is not stored yet."""
    run.start(sampler=SLOWLY, **METERED)
    run.pruner.kill()
    (ingest,) = run.ingests
    batches = Batches(run)
    older_file = run.lab.directory / "older.db"
    for _ in run.moments(1, 0.2, 0.5):
        batches.wait_for("2")
        ingest.stop()
        become(ingest, "old")
        ingest.spawn()
        eventually(lambda: not ingest.running(), "the older version ends")
        assert "the file was written by a newer version" in ingest.stderr()
        ingest.env["STORE_URL"] = f"sqlite://{older_file}"
        ingest.start()
        batches.wait_for("1")
    run.when_sampled(run.count)

    def stored_once():
        """In one file or the other: neither knows what the other has."""
        ledger = Ledger(run.sampler.ledger_path)
        assert len(ledger.accepted) == len(ledger.readings)
        both = run.lab.database.rows() + Database(older_file).rows()
        return both == ledger.rows()

    eventually(stored_once, "every reading is in one of the files, once", 100, 0.5)
    run.lab.end()
