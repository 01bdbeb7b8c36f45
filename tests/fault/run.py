"""One case of the matrix: its system, its moments, its verdict."""

import time

from fault.proxy import Proxy
from fault.systems import new_centre, new_node, refused
from fault.verdict import judge
from fault.volume import Volume
from harness import Ledger, eventually

COLUMNS = ["case", "seed", "sent", "accepted", "stored", "duplicates", "missing", "reported lost", "seconds"]
NODE = "raspberrypi4"


class Tail:
    """Counts the readings in a ledger that grows."""

    def __init__(self, path):
        self.path = path
        self.at = 0
        self.readings = 0

    def count(self):
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self.at)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self.at += len(whole)
            self.readings += whole.count(b"reading ")
        return self.readings


class Run:
    """A node and a centre with about 1,000 readings a second, and a seed for what happens to them.

    full     the issue's sizes; else the short form
    count    readings that the sampler is to take
    """

    def __init__(self, lab, name, seed, full, random, add_row):
        self.lab, self.name, self.seed, self.full = lab, name, seed, full
        self.random, self.add_row = random, add_row
        self.count = 20000 if full else 5000
        self.begin = time.monotonic()
        self.killed_runs = set()
        self.proxy = None
        self.centre, self.nodes = None, []
        self.volumes = []
        self.samplers, self.tails = [], []

    # ---- the system ----

    def new_centre(self, nodes=(), **options):
        """The central broker, with identities for these nodes. Attributes: centre, central."""
        self.centre = new_centre(self.lab, nodes, **options)
        self.central = self.centre.inside

    def new_node(self):
        """A node's own broker: publishers and samplers that are made next are this node's. Attribute: local."""
        self.nodes.append(new_node(self.lab))
        self.local = self.nodes[-1].broker

    def add_publisher(self, name=NODE, **settings):
        """Of the node that was made last; it comes in with the certificate of this name."""
        own = {"MQTT_URL": self.nodes[-1].url("_publisher")}
        return self.centre.publisher(self.local, name, **{**own, **settings})

    def start(self, ingests=1, proxy=False, sampler=None, **publisher):
        """Everything, with readings flowing. Attributes: local, central, ingests, pruner ..."""
        self.new_node()
        self.new_centre([NODE])
        self.ingests = [self.centre.ingest() for _ in range(ingests)]
        self.pruner = self.centre.pruner()
        if proxy:
            self.proxy = Proxy(self.centre.outside)
        self.publisher = self.add_publisher(door=self.proxy, **publisher)
        self.sampler = self.add_sampler(**(sampler or {}))
        eventually(lambda: self.lab.database.count() > self.count // 50, "readings flow")
        return self

    def volume(self, size="64m"):
        """A file system of the case's own."""
        self.volumes.append(Volume(self.lab.directory / f"volume-{len(self.volumes)}", size))
        return self.volumes[-1]

    def add_sampler(self, **settings):
        settings = {"MQTT_URL": self.nodes[-1].url("_sampler"), "PERIOD_MS": 1, **settings}
        sampler = self.lab.sampler(
            self.local, f"bench=sim@{self.seed},count={self.count}", **settings
        )
        self.samplers.append(sampler)
        self.tails.append(Tail(sampler.ledger_path))
        return sampler

    # ---- moments ----

    def seconds(self, full):
        """How long something lasts that is about no limit: as long, or 3 s in the short form."""
        return full if self.full else min(full, 3)

    def sampled(self):
        return sum(tail.count() for tail in self.tails)

    def when_sampled(self, count):
        eventually(lambda: self.sampled() >= count, f"{count} readings are sampled", 300)

    def moments(self, n, first=0.1, last=0.8):
        """Wait for n random moments of the flow, in turn: for _ in run.moments(3)."""
        marks = sorted(self.random.uniform(first, last) for _ in range(n))
        for mark in marks:
            self.when_sampled(int(mark * self.count))
            yield

    def lasts(self, seconds):
        """Let a condition that was set up last: what is waited for is the time itself."""
        end = time.monotonic() + seconds
        eventually(lambda: time.monotonic() >= end, "the time is over", seconds + 30)

    def kill_sampler(self):
        """SIGKILL; what it had in memory and nobody had accepted is gone, unknowably."""
        self.sampler.kill()
        self.killed_runs.add(Ledger(self.sampler.ledger_path).runs[-1])

    # ---- the verdict ----

    def judge(self, forgiven=frozenset()):
        ledgers = [Ledger(sampler.ledger_path) for sampler in self.samplers]
        database = self.lab.database
        lost = sum(n for (n,) in database.query("SELECT sum(lost) FROM stream") if n)
        return judge(ledgers, database.rows(), lost, self.count, self.killed_runs, forgiven)

    def _settled(self):
        """Every reading of a living sampler is accepted or dropped."""
        for sampler in self.samplers:
            ledger = Ledger(sampler.ledger_path)
            alive = {key for key in ledger.readings if key[0] not in self.killed_runs}
            open_ends = alive - ledger.accepted - ledger.dropped - ledger.unaccepted
            assert not open_ends, f"{len(open_ends)} readings are not accepted"
        return True

    def finish(self, forgiven=frozenset(), deadline_s=240):
        """Wait until all is stored, stop everything, judge once more and print the row."""
        self.when_sampled(self.count)
        eventually(self._settled, "all is accepted", deadline_s, poll_s=0.2)
        # Their last word closes what can never come.
        for sampler in self.samplers:
            sampler.stop()

        def right():
            problems = self.judge(forgiven).problems
            assert not problems, problems
            return True

        eventually(right, "all is stored", deadline_s, poll_s=0.5)
        self.end()
        verdict = self.judge(forgiven)
        self.row(verdict)
        assert not verdict.problems, verdict.problems

    def end(self):
        """Stop everything. Nothing that anybody did was beyond its rights, as brokers and services say."""
        self.lab.end()
        lines = [line for service in self.lab.services for line in refused(service)]
        for broker in [self.centre, *self.nodes]:
            lines += broker.refused() if broker else []
        assert not lines, "\n".join(lines)

    def row(self, verdict):
        figures = [verdict.sent, verdict.accepted, verdict.stored, verdict.duplicates]
        figures += [verdict.missing, verdict.reported_lost, round(time.monotonic() - self.begin)]
        self.add_row(dict(zip(COLUMNS, [self.name, self.seed, *figures])))

    def close(self):
        self.lab.kill_all()
        if self.proxy is not None:
            self.proxy.close()
        for volume in self.volumes:
            volume.close()
