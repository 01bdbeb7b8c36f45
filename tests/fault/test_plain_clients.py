"""Case 10: other people's devices, QoS 1: what the broker has acknowledged is stored at least once.

A message comes twice only when ingest dies between its commit and the acknowledgement;
what the broker has in flight on that connection bounds how many.
"""

import json
import threading
from collections import Counter

import pytest

from fault.verdict import Verdict
from harness import Peer, eventually
from harness.peer import new_stream, readings, senml

DEVICES = 4
IN_FLIGHT = 1000  # max_inflight_messages of compose/mosquitto/broker.conf


class Device(threading.Thread):
    """Publishes values one after the other, each once the one before is acknowledged."""

    def __init__(self, centre, name, count):
        super().__init__(daemon=True)
        self.client = centre.device(name)
        self.topic = f"/data/{name}"
        self.count = count
        self.acknowledged = []

    def run(self):
        for value in range(1, self.count + 1):
            self.client.publish(self.topic, json.dumps({"temperature": value}))
            self.acknowledged.append(value)


@pytest.fixture
def devices(run):
    """The centre with run.count messages on their way to it."""

    def start(ingests):
        lab = run.lab
        names = [f"device{number}" for number in range(DEVICES)]
        run.new_centre(["bench"], devices=["first", *names])
        run.ingests = [run.centre.ingest() for _ in range(ingests)]
        eventually(lambda: lab.database.lease("plain"), "one replica holds the lease")
        run.devices = [Device(run.centre, name, run.count // DEVICES) for name in names]
        device = run.centre.device("first")
        eventually(lambda: heard(lab, device), "plain messages are taken")
        for device in run.devices:
            device.start()
        return run

    return start


def heard(lab, client):
    client.publish("/data/first", '{"temperature": 0}')
    return lab.database.count() > 0


def acknowledged(run):
    return sum(len(device.acknowledged) for device in run.devices)


def moments(run, n):
    for mark in sorted(run.random.uniform(0.1, 0.8) for _ in range(n)):
        eventually(lambda: acknowledged(run) >= mark * run.count, "messages flow", 120)
        yield


def stored(run):
    """Counter of (topic, value) in the database."""
    sql = (
        "SELECT sensor.topic, reading.temperature FROM reading"
        " JOIN sensor ON sensor.id = reading.sensor WHERE sensor.topic LIKE '/data/device%'"
    )
    return Counter(run.lab.database.query(sql))


def finish(run, duplicates_allowed):
    eventually(lambda: acknowledged(run) == run.count, "all are acknowledged", 240, poll_s=0.2)
    sent = {(device.topic, float(value)) for device in run.devices for value in device.acknowledged}
    eventually(lambda: not sent - set(stored(run)), "all are stored", 120, poll_s=0.5)
    run.end()
    rows = stored(run)
    verdict = Verdict(
        sent=run.count,
        accepted=len(sent),
        stored=len(rows),
        duplicates=sum(rows.values()) - len(rows),
        missing=len(sent - set(rows)),
    )
    run.row(verdict)
    assert set(rows) == sent
    assert verdict.duplicates <= duplicates_allowed


@pytest.mark.parametrize("ingests", [1, 3])
def test_plain_ingest_killed(run, devices, ingests):
    run.name = f"plain clients, holder of {ingests} killed (at least once)"
    devices(ingests)
    kills = 3
    for _ in moments(run, kills):
        holder(run).restart(healthy=False)
    finish(run, kills * IN_FLIGHT)


class Node(threading.Thread):
    """Sends native batches all the time, so that a commit is always under way."""

    def __init__(self, centre):
        super().__init__(daemon=True)
        self.peer = Peer(centre.person("bench"))
        self.ended = threading.Event()

    def run(self):
        stream, first = new_stream(), 1
        while not self.ended.is_set():
            self.peer.send(stream, first, senml(readings(first, 20)), 20)
            first += 20
            self.ended.wait(0.002)


def test_plain_ingest_stopped(run, devices):
    """A stop acknowledges nothing that it does not store."""
    run.name = "plain clients, ingest stopped"
    devices(1)
    node = Node(run.centre)
    node.start()
    try:
        for _ in moments(run, 20):
            run.ingests[0].stop()
            run.ingests[0].start()
    finally:
        node.ended.set()
        node.join(10)
    finish(run, 20 * IN_FLIGHT)


@pytest.mark.parametrize("ingests", [1, 3])
def test_plain_ingest_frozen(run, devices, ingests):
    """With three replicas another takes the lease; the frozen one wakes up and stores nothing."""
    run.name = f"plain clients, holder of {ingests} frozen (at least once)"
    devices(ingests)
    for _ in moments(run, 1):
        frozen = holder(run)
        frozen.freeze()
        run.lasts(20)  # a lease is good for 15 s
        frozen.thaw()
    finish(run, IN_FLIGHT)


def holder(run):
    """The replica that has the lease."""

    def found():
        name, _ = run.lab.database.lease("plain")
        for ingest in run.ingests:
            if name == "ingest-" + ingest.settings["INSTANCE"]:
                return ingest
        return None

    return eventually(found, "a replica holds the lease")
