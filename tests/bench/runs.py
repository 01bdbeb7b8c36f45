"""One run of ingest, of SQLite alone or of a peer under load, each with a broker of its own."""

import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from harness import Database, Lab, eventually
from harness.service import BIN
from harness.usage import cpu_ns

PROGRAMS = BIN.parent / "test"
PEERS = Path(__file__).resolve().parent / "peers"
READING_BYTES = 112  # of SenML
IN_FLIGHT_BYTES = 60_000_000  # of all nodes together; the broker must hold them
WINDOW = 64
BROKER = "max_inflight_messages 1000\nmax_queued_messages 0\nmax_packet_size 1048576\n"
# The highest id is the last one of some sensor.
NEWEST = """
SELECT max((SELECT id FROM reading WHERE sensor = s.id ORDER BY ts DESC, id DESC LIMIT 1))
FROM sensor s
"""
PEER_COMMANDS = {
    "paho": [sys.executable, PEERS / "paho_many.py"],
    "paper": [sys.executable, PEERS / "paper.py"],
    "mqttjs": ["node", PEERS / "mqttjs.js"],
}


class Load:
    """What is sent: `readings` of all nodes together, in batches."""

    def __init__(self, batch, nodes, readings, sensors=1, rate=0, seconds=0):
        self.batch = batch
        self.nodes = nodes
        self.each = max(1, readings // nodes // batch) * batch
        self.readings = self.each * nodes
        self.sensors = sensors
        self.rate = rate
        self.seconds = seconds
        in_flight = IN_FLIGHT_BYTES // (READING_BYTES * batch * nodes)
        self.window = max(1, min(WINDOW, in_flight))

    def of(self, readings):
        """The same, with another number of readings."""
        return Load(self.batch, self.nodes, readings, self.sensors)

    def options(self):
        names = ["batch", "nodes", "sensors", "window", "rate", "seconds"]
        options = [f"--{name}={getattr(self, name)}" for name in names]
        return [*options, f"--readings={self.each}"]


class Talker:
    """A program that says `ready` on its first line, and at its end what it has to say."""

    def __init__(self, command):
        command = [str(part) for part in command]
        self.child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        line = self.child.stdout.readline()
        assert line == "ready\n", f"{command[0]} said {line!r}"

    @property
    def pid(self):
        return self.child.pid

    def begin(self):
        self.child.stdin.write("\n")
        self.child.stdin.flush()

    def end(self, timeout_s=300):
        """Its last line's fields."""
        out, _ = self.child.communicate(timeout=timeout_s)
        assert self.child.returncode == 0, f"{self.child.args[0]} exited {self.child.returncode}"
        return fields(out)

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()


def fields(text):
    """The name=value pairs of the last line."""
    pairs = (word.split("=") for word in text.splitlines()[-1].split()[1:])
    return {name: float(value) for name, value in pairs}


def memory_mb(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError(f"no {field} of {pid}")


def wait_settled(services):
    """Services give back what their start took 3 s later (common/trim.h); peaks begin here.

    To be called at once when they have started.
    """
    before = {service.pid: memory_mb(service.pid, "RssFile") for service in services}
    for service in services:
        pid = service.pid
        eventually(
            lambda pid=pid: memory_mb(pid, "RssFile") < before[pid], f"{service.name} has settled"
        )
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


class Run:
    """A directory, a broker and what is measured of the programs between begin() and end()."""

    def __init__(self, parent):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        self.lab = Lab(Path(parent) / "run", log_level="info")
        self.lab.directory.mkdir()
        settings = self.lab.directory / "broker.conf"
        settings.write_text(BROKER)
        self.broker = self.lab.broker(settings=settings)
        self.talkers = []

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for talker in self.talkers:
            talker.kill()
        try:
            if kind is None:
                self.lab.end()
            else:
                for name, text in self.lab.log_tails(1000):
                    print(f"--- {name}\n{text}", file=sys.stderr)
        finally:
            self.lab.kill_all()
            shutil.rmtree(self.lab.directory)

    def talker(self, command):
        talker = Talker(command)
        self.talkers.append(talker)
        return talker

    def load(self, load, *options):
        command = [PROGRAMS / "load", f"--port={self.broker.port}", *load.options(), *options]
        return self.talker(command)

    def begin(self, pids):
        self.pids = {"broker": [self.broker.process.pid], "subject": pids}
        self.before = self._cpu()

    def _cpu(self):
        return {who: sum(cpu_ns(pid) for pid in pids) for who, pids in self.pids.items()}

    def figures(self, readings, seconds):
        """What everybody is asked for."""
        after = self._cpu()
        used = {who: (after[who] - self.before[who]) / 1000 / readings for who in after}
        return {
            "rate": readings / seconds,
            "cpu_us": used["subject"],
            "broker_cpu_us": used["broker"],
            "rss_mb": max(memory_mb(pid, "VmHWM") for pid in self.pids["subject"]),
        }


def check_rows(lab, load, begin_s, readings):
    """Every reading once, each stream closed over its numbers without a gap."""
    ((rows, times),) = lab.database.query(
        "SELECT sum((SELECT count(*) FROM reading WHERE sensor = s.id AND ts >= ?1)),"
        " sum((SELECT count(DISTINCT ts) FROM reading WHERE sensor = s.id AND ts >= ?1))"
        " FROM sensor s",
        begin_s * 1_000_000,
    )
    assert rows == times == readings, f"{rows} rows, {times} times of {readings} readings"
    streams = lab.database.query("SELECT first, last FROM stream_interval")
    assert len(streams) == load.nodes and all(first == 1 for first, _ in streams), "gaps"
    assert sum(last for _, last in streams) == readings


def ingest(parent, load, history=None, replicas=1, **settings):
    """Ingest (or several on one file) under load; figures, latency from sending to answer."""
    begin_s = int(time.time())
    stats = {}
    with Run(parent) as run:
        lab = run.lab
        if history:
            shutil.copyfile(history, lab.database_path)
        services = [lab.ingest(run.broker, STATS_PERIOD_S=1, **settings) for _ in range(replicas)]
        lab.client(run.broker).listen(
            "stats/+/ingest/+", lambda message: stats.update({message.topic: message.payload})
        )
        wait_settled(services)
        sender = run.load(load)
        run.begin([service.pid for service in services])
        sender.begin()
        told = sender.end()
        assert told["rejected"] == 0
        figures = run.figures(told["readings"], (told["end_ns"] - told["start_ns"]) / 1e9)

        def commits():
            all_of = [json.loads(payload) for payload in stats.values()]
            stored = sum(one["readings"] for one in all_of)
            return stored == told["readings"] and sum(one["commits"] for one in all_of)

        figures["commit"] = told["readings"] / eventually(commits, "all is counted")
        check_rows(lab, load, begin_s, int(told["readings"]))
        figures.update({name: told[f"{name}_us"] / 1000 for name in ("p50", "p99", "max")})
    return figures


def alone(parent, load, commit, history=None, words=()):
    """SQLite alone with the same rows in commits of the same size."""
    path = Path(parent) / "alone.db"
    if history:
        shutil.copyfile(history, path)
    command = [PROGRAMS / "alone", f"sqlite://{path}", load.readings, max(1, round(commit))]
    command += [load.batch, load.nodes, *words]
    try:
        out = subprocess.run(
            [str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    finally:
        for left in Path(parent).glob("alone.db*"):
            left.unlink()
    told = fields(out)
    return {"rate": told["rows"] / told["seconds"], "cpu_us": told["cpu_us"]}


def make_history(path, rows, nodes, words=()):
    """A database in which these nodes' sensors have a past."""
    command = [PROGRAMS / "alone", f"sqlite://{path}", rows, 100_000, 100_000, nodes, "history"]
    command += words
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return path


def peer(parent, name, load):
    """A stand-in for what people use; the rows are counted in its file."""
    with Run(parent) as run:
        path = run.lab.directory / "peer.db"
        subject = run.talker([*PEER_COMMANDS[name], run.broker.port, path])
        sender = run.load(load, "--pubacks")
        run.begin([subject.pid])
        sender.begin()
        told = sender.end()
        rows = Database(path)
        # By what is cheap to ask while it works; all are counted at the end.
        newest = "SELECT max(id) FROM dht" if name == "paper" else NEWEST
        eventually(
            lambda: rows.query(newest) == [(load.readings,)],
            f"{name} has stored {load.readings} rows",
            300,
            0.005,
        )
        seconds = time.monotonic() - told["start_ns"] / 1e9
        figures = run.figures(load.readings, seconds)
        table = "dht" if name == "paper" else "reading"
        assert rows.query(f"SELECT count(*) FROM {table}") == [(load.readings,)]
        return figures


def counting(parent, load):
    """A subscriber that only counts and acknowledges: what the broker can hand out."""
    with Run(parent) as run:
        messages = load.readings // load.batch
        subject = run.talker([PROGRAMS / "load", f"--port={run.broker.port}", f"--count={messages}"])
        sender = run.load(load, "--pubacks")
        sender.begin()
        begin_ns = sender.end()["start_ns"]
        end_ns = subject.end()["end_ns"]
        return {"rate": load.readings / (end_ns - begin_ns) * 1e9}
