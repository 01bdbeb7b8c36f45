"""The stacks whose writing is measured, each on a card of its own."""

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import runs
from card import Card, ContainerLog

from harness import Lab, eventually
from harness.broker import HOST, Broker
from harness.bulk import accepted_count, missing_and_extra
from harness.process import Process
from harness.pruning import order
from harness.service import ROOT, clean_env

MOSQUITTO = ROOT / "compose/mosquitto"
PAPER = ROOT / "tests/images/paper"
WAL_SEQUENCE = slice(12, 16)  # of its header: how often the log began anew
PAGE = 2048  # of a new database
WAL_PAGES = 6000  # in the log when it begins anew
PAST, PAST_PERIOD_MS = 600, 20  # readings of a sensor, some pages of rows
PRELOAD = runs.Load(batch=100, nodes=1, readings=100_000, sensors=8)


def own_bytes(process):
    """What the kernel counts of a process as on its way to a disk."""
    for line in Path(f"/proc/{process.pid}/io").read_text(encoding="ascii").splitlines():
        if line.startswith("write_bytes: "):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{process.pid}/io counts no write_bytes")


class Stack:
    """Brokers and services with the settings of compose/, and a card with some of their files.

    What a board keeps on its card is there: `logged` are the processes whose containers' logs
    are. Ledgers, health sockets and what stands for another board are not.
    """

    def __init__(self, parent, name):
        self.name = name
        self.directory = parent / name.replace(" ", "-")
        self.directory.mkdir()
        self.card = Card(self.directory / "device")
        self.lab = Lab(self.directory, log_level="info")
        self.logged, self.samplers, self.others = [], {}, []
        self.logs = None

    def mosquitto(self, config=None, on_card=False):
        """A broker whose output is where ContainerLog reads it, off the card."""
        number = len(self.lab.brokers)
        broker = Broker(self._folder(f"mosquitto-{number}", on_card), settings=config)
        output = self._folder(f"output-{number}", False)
        broker.process.stdout_path, broker.process.stderr_path = output / "stdout", output / "stderr"
        self.lab.brokers.append(broker)
        broker.start()
        if on_card:
            self.logged.append(broker.process)
        return broker

    def _folder(self, name, on_card):
        folder = (self.card.folder if on_card else self.directory) / name
        folder.mkdir()
        return folder

    def node(self, central, number, sensors, **publisher):
        """A board whose sensors get a past; (its broker, publisher, sampler)."""
        local = self.mosquitto(MOSQUITTO / "node.conf")
        # None: as it is by itself, not as tests have it.
        settings = {"ANSWER_WITHIN": None, **publisher}
        publisher = self.lab.publisher(local, central, f"node{number}", **settings)
        names = [f"n{number}s{i}=sim@{number * 1000 + i}" for i in range(sensors)]
        past = ",".join(f"{name},count={PAST}" for name in names)
        sampler = self.lab.sampler(local, past, PERIOD_MS=PAST_PERIOD_MS)
        self.samplers[sampler] = ",".join(names)
        return local, publisher, sampler

    def live(self, period_ms):
        """Once the past is stored, the sensors are read as they will be from here on.

        A sensor's rows fill pages of their own then, as they do after the first hours.
        """
        for sampler, names in self.samplers.items():
            past = PAST * len(names.split(","))
            self._eventually(lambda: accepted_count(sampler.ledger_path) == past, "the past is accepted")
            sampler.stop()
        self._stored_once()
        for sampler, names in self.samplers.items():
            sampler.env |= {"SENSORS": names, "PERIOD_MS": str(period_ms)}
            sampler.start()
            # Boards start when they start: their readings are spread over the period.
            time.sleep(period_ms / len(self.samplers) / 1000)
        before = self.count()
        self._eventually(lambda: self.count() > before, "readings flow")

    def _stored_once(self):
        """Hold what is stored against what was sampled."""
        for path in (sampler.ledger_path for sampler in self.samplers):
            once = lambda path=path: missing_and_extra(self.lab.database, path) == (0, 0)  # noqa: E731
            self._eventually(once, "what was sampled is stored once")

    def _eventually(self, predicate, what):
        eventually(predicate, f"{self.name}: {what}", 180, 0.5)

    def start(self):
        """Make its parts; they are ended by kill() even when this fails."""

    def keep_logs(self):
        """What the containers have said so far, and from here on."""
        self.logs = ContainerLog(self.card.folder / "logs", self.logged)
        self.logs.start()

    def ready(self):
        """Wait until it does what it will do from here on."""

    def count(self):
        """Readings stored so far, whoever sent them."""
        return self.lab.database.count()

    def begin(self):
        """From here on is measured."""
        self.began_s, self.lines = time.monotonic(), self.logs.lines
        self.own = {process: own_bytes(process) for process in self.logged}
        self.bytes, self.readings = self.card.written(), self.count()

    def end(self):
        """What was written since, and by whom."""
        written = self.card.written() - self.bytes
        own = {}
        for process, before in self.own.items():
            own[process.name] = own.get(process.name, 0) + own_bytes(process) - before
        return {
            "seconds": round(time.monotonic() - self.began_s),
            "readings": self.count() - self.readings,
            "bytes": written,
            "log_lines": self.logs.lines - self.lines,
            **{f"{name.replace('-', '_')}_bytes": bytes for name, bytes in own.items()},
        }

    def rest(self):
        """What is written later for what came in that time; asked when all have ended."""
        return {}

    def check_health(self):
        """What Docker does: the checks of mosquitto are clients like others."""
        for broker in self.lab.brokers:
            if broker.process in self.logged:
                command = ["mosquitto_sub", "-h", HOST, "-p", str(broker.port), "-C", "1", "-W", "3"]
                subprocess.run([*command, "-t", "$SYS/broker/version"], capture_output=True, check=True, timeout=20)
        for process in self.logged:
            if hasattr(process, "health"):
                process.health()

    def finish(self):
        """Stop all; fails when a reading is missing or there twice."""
        for sampler in self.samplers:
            sampler.stop()
        self._stored_once()
        self.lab.end()

    def kill(self):
        if self.logs is not None:
            self.logs.stop()
        for process in self.others:
            process.kill()
        self.lab.kill_all()
        self.card.close()


class Centre(Stack):
    """broker.yml on the card, and its nodes elsewhere."""

    def __init__(self, parent, name, nodes=2, sensors=5, period_ms=2000, **publisher):
        super().__init__(parent, name)
        self._nodes, self._sensors, self._period_ms = nodes, sensors, period_ms
        self._publisher = publisher

    def start(self):
        self.lab.database_path = self._folder("store", True) / "broker.db"
        self.broker = self.mosquitto(MOSQUITTO / "broker.conf", on_card=True)
        self.logged.append(self.lab.ingest(self.broker))
        self._wrap_log()
        self.logged.append(self.lab.pruner(self.broker))
        self.operator = self.lab.client(self.broker)
        order(self.operator)
        for number in range(self._nodes):
            if self._sensors:
                self.node(self.broker, number, self._sensors, **self._publisher)
            else:
                self.lab.publisher(self.mosquitto(MOSQUITTO / "node.conf"), self.broker, f"node{number}")

    def _wrap_log(self):
        """Fill the database's log until it begins anew: while it grows, more is written."""
        log = self.lab.database_path.with_name("broker.db-wal")

        def sequence():
            return int.from_bytes(log.read_bytes()[WAL_SEQUENCE], "big")

        first = sequence()
        while sequence() < first + 2 or log.stat().st_size < WAL_PAGES * PAGE:
            command = [runs.PROGRAMS / "load", f"--port={self.broker.port}", *PRELOAD.options()]
            load = runs.Talker(command)
            load.begin()
            load.end()

    def ready(self):
        if self._sensors:
            self.live(self._period_ms)

    def begin(self):
        _, self._size = self._checkpoint("RESTART")
        super().begin()

    def _checkpoint(self, how):
        with sqlite3.connect(self.lab.database_path, timeout=30, isolation_level=None) as database:
            busy, pages, _ = database.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
            assert busy == 0, f"{self.name}: the checkpoint was in somebody's way"
            (size,) = database.execute("PRAGMA page_count").fetchone()
        return pages, size

    def rest(self):
        """What it has left for later: the log's pages in the file, and the pruner's run."""
        before = self.card.written()
        pages, size = self._checkpoint("FULL")
        between = self.card.written()
        order(self.operator)
        return {
            "log_pages": pages,
            "growth_bytes": (size - self._size) * PAGE,
            "checkpoint_bytes": between - before,
            "prune_bytes": self.card.written() - between,
        }


class Node(Stack):
    """node.yml on the card, and its centre elsewhere."""

    def __init__(self, parent, name, sensors=5, period_ms=2000):
        super().__init__(parent, name)
        self._sensors, self._period_ms = sensors, period_ms

    def start(self):
        central = self.mosquitto(MOSQUITTO / "broker.conf")
        self.ingest = self.lab.ingest(central)
        outbox = self._folder("outbox", True) / "outbox.db"
        local, publisher, sampler = self.node(central, 0, self._sensors, OUTBOX=outbox)
        self.logged += [local.process, publisher, sampler]

    def ready(self):
        self.live(self._period_ms)


class Prototype(Stack):
    """The stand-in of the 2023 prototype, its broker board on the card: a commit a reading."""

    def __init__(self, parent, name, rate=5):
        super().__init__(parent, name)
        self._rate = rate

    def start(self):
        self._database = self._folder("store", True) / "broker.db"
        # mosquitto's own defaults, under which it keeps nothing.
        broker = self.mosquitto(on_card=True)
        subscriber = self._python("subscriber", broker, DATABASE=self._database)
        eventually(self._database.exists, "the prototype's database exists")
        self._python("publisher", broker, PERIOD_S=1 / self._rate)
        self.logged.append(subscriber)

    def _python(self, name, broker, **settings):
        command = [sys.executable, PAPER / f"{name}.py"]
        env = clean_env({"BROKER": HOST, "PORT": broker.port, **settings})
        process = Process(name, command, self.directory / name, env)
        self.others.append(process)
        process.spawn()
        return process

    def ready(self):
        self._eventually(lambda: self.count() > 0, "readings flow")

    def count(self):
        with sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30) as database:
            return database.execute("SELECT count(*) FROM dht").fetchone()[0]

    def finish(self):
        for process in self.others:
            assert process.running(), process.stderr()[-2000:]
