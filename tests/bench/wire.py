"""What a reading costs on the wire: all that a node sends to the centre and hears from it.

Packets at IP level, all nodes in the same minutes, each with a broker of its own.
"""

import os
import sqlite3
import sys
import time

from link import CENTRE, Link, Sniffer
from mqtt_bytes import Traffic
from table import Row, grid, number

from harness import Certificates, Lab, eventually
from harness.broker import Broker
from harness.bulk import missing_and_extra
from harness.process import Process
from harness.service import ROOT, clean_env

SECONDS = int(os.environ.get("WIRE_S") or 600)
PERIOD_MS = 2000
SETTLE_S = 5
POLL_S = 0.2
MOSQUITTO = ROOT / "compose/mosquitto"
PAPER = ROOT / "tests/images/paper"


class Cable:
    """The link, and what passes between its nodes and each broker at the centre."""

    def __init__(self):
        self._link = Link()
        self.at_node = self._link.at_node
        self._by_port = {}
        self._sniffer = Sniffer(self._packet)
        self._sniffer.start()

    def traffic(self, port):
        """Of one broker's port, from here on."""
        return self._by_port.setdefault(port, Traffic())

    def _packet(self, packet):
        for upward, port in ((True, packet.target), (False, packet.source)):
            if port in self._by_port:
                self._by_port[port].take(upward, packet)

    def stop(self):
        self._sniffer.stop()


class Node:
    """A node on one end of the cable and its centre on the other."""

    def __init__(self, directory, name, cable, sensors, tls=False, **publisher):
        self.name, self.sensors, self.tls = name, sensors, tls
        # None: as it is by itself, not as tests have it.
        self.settings = {"ANSWER_WITHIN": None, **publisher}
        self._cable = cable
        self.directory = directory / name.replace(" ", "-")
        self.directory.mkdir()
        self.lab = Lab(self.directory, log_level="info")
        self.begun = self.ended = self._begin_s = None

    def _listen(self, **options):
        """The centre's broker, on the cable's end."""
        self.central = Broker(self.directory / "central", host=CENTRE, **options)
        self.traffic = self._cable.traffic(self.central.port)
        self.lab.brokers.append(self.central)
        self.central.start()

    def start(self):
        certificates = Certificates(self.directory / "certificates", CENTRE) if self.tls else None
        self._listen(certificates=certificates, settings=MOSQUITTO / "broker.conf")
        trust = {"TLS_CA_FILE": certificates.ca} if self.tls else {}
        self.lab.ingest(self.central, **trust)
        with self._cable.at_node():
            self._start_node(trust)

    def _start_node(self, trust):
        local = self.lab.broker(settings=MOSQUITTO / "node.conf")
        self.lab.publisher(local, self.central, "orangepi0", **trust, **self.settings)
        names = ",".join(f"climate{i}=sim@{i + 1}" for i in range(self.sensors))
        self.sampler = self.lab.sampler(local, names, PERIOD_MS=PERIOD_MS)

    def count(self):
        """Readings stored so far."""
        return self.lab.database.count()

    def step(self):
        """Begin soon after the first commit, when connecting is over; end so many seconds later."""
        now, count = time.monotonic(), self.count()
        if self._begin_s is None:
            self._begin_s = now + SETTLE_S if count else None
        elif self.begun is None and now >= self._begin_s:
            self.begun = self.traffic.snapshot() | {"readings": count}
        elif self.ended is None and now >= self._begin_s + SECONDS:
            self.ended = self.traffic.snapshot() | {"readings": count}
        return self.ended is not None

    def figures(self):
        used = {key: self.ended[key] - self.begun[key] for key in ("bytes", "packets", "readings")}
        kinds = self.ended["kinds"]
        kinds.subtract(self.begun["kinds"])
        return used | {"kinds": {name: n for name, n in kinds.items() if n}}

    def finish(self):
        """Stop all, and hold what is stored against what was sampled."""
        self.sampler.stop()
        eventually(
            lambda: missing_and_extra(self.lab.database, self.sampler.ledger_path) == (0, 0),
            f"{self.name}: what was sampled is stored once",
            180,
            1,
        )
        self.lab.end()

    def kill(self):
        self.lab.kill_all()


class Prototype(Node):
    """The stand-in of the 2023 prototype: one sensor, plain messages with QoS 0."""

    def start(self):
        self._listen()
        self._database = self.directory / "prototype.db"
        self._processes = [self._python("subscriber", DATABASE=self._database)]
        eventually(self._database.exists, "the prototype's database exists")
        with self._cable.at_node():
            self._processes.append(self._python("publisher", PERIOD_S=PERIOD_MS / 1000))

    def _python(self, name, **settings):
        env = clean_env({"BROKER": CENTRE, "PORT": self.central.port, **settings})
        process = Process(name, [sys.executable, PAPER / f"{name}.py"], self.directory / name, env)
        process.spawn()
        return process

    def count(self):
        with sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30) as database:
            return database.execute("SELECT count(*) FROM dht").fetchone()[0]

    def finish(self):
        for process in self._processes:
            assert process.running(), process.stderr()[-2000:]

    def kill(self):
        for process in self._processes:
            process.kill()
        super().kill()


def nodes(directory, cable):
    """[(node, its words in the record, the most bytes a reading)]"""
    metered = {"LINK": "metered"}
    at_once = {"ANSWER_WITHIN": "0"}
    return [
        (Node(directory, "LINK=lan", cable, 5), {"link": "lan"}, None),
        (Node(directory, "ANSWER_WITHIN=0", cable, 5, **at_once), {"link": "lan", "answer_within_s": 0}, 600),
        (Node(directory, "LINK=metered", cable, 5, **metered), {"link": "metered"}, 20),
        (Node(directory, "LINK=metered, one sensor", cable, 1, **metered), {"link": "metered"}, 40),
        (Node(directory, "LINK=metered, TLS", cable, 5, tls=True, **metered), {"link": "metered", "tls": True}, None),
        (Prototype(directory, "the 2023 prototype, a stand-in", cable, 1), {"prototype": True}, None),
    ]


def measure(lab):
    """(records for bench.jsonl, rows of the table)."""
    cable = Cable()
    chosen = nodes(lab.directory, cable)
    every = [node for node, _, _ in chosen]
    try:
        for node in every:
            node.start()
        over = lambda: all([node.step() for node in every])  # noqa: E731
        eventually(over, "the minutes are over", SECONDS + 300, POLL_S)
        cable.stop()
        for node in every:
            node.finish()
    finally:
        for node in every:
            node.kill()
    figures = [node.figures() for node in every]
    show_kinds(every, figures)
    records, rows = [], []
    for (node, words, most), used in zip(chosen, figures):
        each = used["bytes"] / used["readings"]
        record = {"bench": "wire", **words, "sensors": node.sensors, "bytes_a_reading": round(each, 1)}
        records.append(record | {"seconds": SECONDS} | used)
        rows.append(Row(f"{node.name}, sensors: {node.sensors}", each, "bytes a reading", at_most=most))
    return records, rows


def show_kinds(every, figures):
    """Bytes a reading by what they are for."""
    names = sorted({name for used in figures for name in used["kinds"]})
    lines = []
    for node, used in zip(every, figures):
        cells = [used["kinds"].get(name, 0) / used["readings"] for name in names]
        lines.append([node.name, *(number(cell) if cell else "" for cell in cells)])
    # Turned, as there are more kinds than nodes.
    grid(["bytes a reading", *(line[0] for line in lines)], [
        [name, *(line[i + 1] for line in lines)] for i, name in enumerate(names)
    ])
