"""SIGKILL of ingest while it gathers: nothing of it was answered, so all of it comes again.

The nodes are made by hand, so that each says how long its answer may take and sends again
exactly what is not answered.
"""

import threading

from fault.verdict import Verdict
from harness import Peer, eventually
from harness.peer import BASE_TIME_S, new_stream, readings, senml

NODES = 4
BATCH = 10
WAIT_MS = 10000
KILLS = 3


class Node(threading.Thread):
    """Sends batches of ten, 250 readings a second, and knows which are answered."""

    def __init__(self, centre, name, count):
        super().__init__(daemon=True)
        self.peer = Peer(centre.person(name), name)
        self.stream = new_stream()
        self.batches = range(1, count + 1, BATCH)
        self.sent = set()
        self.pause = threading.Event()

    def send(self, first):
        payload = senml(readings(first, BATCH))
        self.peer.send(self.stream, first, payload, BATCH, wait=WAIT_MS)
        self.sent.add(first)

    def run(self):
        for first in self.batches:
            self.send(first)
            self.pause.wait(BATCH / 250)

    def open(self):
        """The batches that are sent and not answered."""
        stored = set()
        for answer in self.peer.answers():
            for _, first, count in answer.get("stored", []):
                stored.update(range(first, first + count))
        return {first for first in set(self.sent) if first not in stored}


def test_ingest_killed_while_it_gathers(run):
    """0 missing, 0 twice; and it did gather: a few answers, one a commit and node, are for all batches."""
    run.name = "ingest killed while it gathers"
    lab = run.lab
    names = [f"node{n}" for n in range(NODES)]
    run.new_centre(names)
    ingest = run.centre.ingest()
    nodes = [Node(run.centre, name, run.count // NODES) for name in names]
    batches = sum(len(node.batches) for node in nodes)
    for node in nodes:
        node.start()
    for mark in sorted(run.random.uniform(0.1, 0.9) for _ in range(KILLS)):
        eventually(lambda: sum(len(node.sent) for node in nodes) >= mark * batches, "batches flow", 120)
        open_ends = eventually(lambda: sum(len(node.open()) for node in nodes), "ingest gathers")
        ingest.restart()
        print(f"killed with {open_ends} batches gathered")
        for node in nodes:
            for first in node.open():
                node.send(first)
    for node in nodes:
        node.join(120)
    eventually(lambda: not any(node.open() for node in nodes), "all is answered", 60, poll_s=0.5)
    run.end()

    rows = lab.database.query(
        "SELECT sensor.topic, reading.ts FROM reading JOIN sensor ON sensor.id = reading.sensor"
    )
    numbers = [(topic, ts // 10**6 - BASE_TIME_S) for topic, ts in rows]
    wanted = {
        (f"/data/{node.peer.node}", first + i)
        for node in nodes
        for first in node.batches
        for i in range(BATCH)
    }
    verdict = Verdict(
        sent=len(wanted),
        accepted=len(wanted),
        stored=len(numbers),
        duplicates=len(numbers) - len(set(numbers)),
        missing=len(wanted - set(numbers)),
    )
    run.row(verdict)
    assert sorted(numbers) == sorted(wanted)
    assert sum(len(node.peer.answers()) for node in nodes) < batches / 2
