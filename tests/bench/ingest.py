"""Ingest to the limit, beside SQLite alone and beside what else people use, by turns."""

from statistics import median

import runs
from runs import Load
from table import Row, grid, number

ROUNDS = 3
# Readings of a run: some seconds of each.
READINGS = {
    1: {"ingest": 80_000, "paho": 40_000, "mqttjs": 40_000, "paper": 2_000},
    10: {"ingest": 1_000_000, "paho": 250_000, "mqttjs": 250_000},
    100: {"ingest": 3_000_000, "paho": 800_000, "mqttjs": 800_000},
    1000: {"ingest": 3_000_000, "paho": 800_000, "mqttjs": 800_000},
}
NODES = 50
HEADER = ["batch", "nodes", "rows before", "rate", "CPU us", "broker us", "RSS MB", "p50 ms"]
HEADER += ["p99 ms", "max ms", "rows/commit", "of SQLite", "paho", "mqtt.js", "paper", "counting"]


class Measured:
    """Some rounds of one configuration: {subject: [figures]}."""

    def __init__(self, load, preload=0, replicas=1):
        self.load = load
        self.preload = preload
        self.replicas = replicas
        self.rounds = {}

    def add(self, subject, figures):
        self.rounds.setdefault(subject, []).append(figures)

    def figure(self, name, subject="ingest"):
        return median(figures[name] for figures in self.rounds[subject])

    def ratio(self, subject, name="rate"):
        """Of one round's ingest and subject, so that what slows a round slows both."""
        if subject not in self.rounds:
            return None
        pairs = zip(self.rounds["ingest"], self.rounds[subject])
        return median(ours[name] / theirs[name] for ours, theirs in pairs)

    def record(self):
        record = {
            "bench": "ingest",
            "batch": self.load.batch,
            "nodes": self.load.nodes,
            "sensors": self.load.sensors,
            "preload": self.preload,
            "replicas": self.replicas,
            "rate": round(self.figure("rate")),
            "rows_a_commit": round(self.figure("commit")),
        }
        for name in ("cpu_us", "broker_cpu_us", "rss_mb"):
            record[name] = round(self.figure(name), 3)
        for name in ("p50", "p99", "max"):
            record[f"{name}_ms"] = round(self.figure(name), 2)
        for subject in self.rounds:
            if subject != "ingest":
                record[f"ratio_{subject}"] = round(self.ratio(subject), 3)
                record[f"{subject}_rate"] = round(self.figure("rate", subject))
            if subject in runs.PEER_COMMANDS:
                record[f"{subject}_cpu_us"] = round(self.figure("cpu_us", subject), 3)
                record[f"{subject}_rss_mb"] = round(self.figure("rss_mb", subject), 1)
        return record

    def cells(self):
        names = ["rate", "cpu_us", "broker_cpu_us", "rss_mb", "p50", "p99", "max", "commit"]
        cells = [f"{self.load.batch}", f"{self.load.nodes:,}", f"{self.preload:,}"]
        cells += [number(self.figure(name)) for name in names]
        for subject in ("sqlite", "paho", "mqttjs", "paper", "counting"):
            ratio = self.ratio(subject)
            cells.append(f"{ratio:.2f}" if ratio else "")
        return cells


def with_peers(directory, batch):
    """All subjects by turns, some rounds."""
    sizes = READINGS[batch]
    load = Load(batch, NODES, sizes["ingest"])
    measured = Measured(load)
    for _ in range(ROUNDS):
        ours = runs.ingest(directory, load)
        measured.add("ingest", ours)
        measured.add("sqlite", runs.alone(directory, load, ours["commit"]))
        for name in runs.PEER_COMMANDS:
            if name in sizes:
                measured.add(name, runs.peer(directory, name, load.of(sizes[name])))
        if batch == 1:
            measured.add("counting", runs.counting(directory, load))
    return measured


def with_sqlite(directory, load, preload=0, rounds=ROUNDS):
    """Ingest and SQLite alone by turns, on a file that has rows already."""
    measured = Measured(load, preload)
    history = None
    if preload:
        history = runs.make_history(directory / f"history-{preload}.db", preload, load.nodes)
    for _ in range(rounds):
        ours = runs.ingest(directory, load, history)
        measured.add("ingest", ours)
        measured.add("sqlite", runs.alone(directory, load, ours["commit"], history))
    if history:
        history.unlink()
    return measured


def peers_rows(by_batch):
    """What the project demands of the ratios."""
    hundred, ten, one = by_batch[100], by_batch[10], by_batch[1]
    return [
        Row("batches of 100: of SQLite alone", hundred.ratio("sqlite"), "", at_least=0.7),
        Row("batches of 100: times paho", hundred.ratio("paho"), "", at_least=2.5),
        Row("batches of 100: CPU a reading", hundred.figure("cpu_us"), "us", at_most=1.3),
        Row("batches of 10: times paho", ten.ratio("paho"), "", at_least=2),
        Row("single readings: of a counting subscriber", one.ratio("counting"), "", at_least=0.9),
        Row("single readings: CPU, of paho's", one.ratio("paho", "cpu_us"), "", at_most=0.5),
    ]


def measure(lab):
    """Batches of 1 to 1,000, 50 and 1,000 nodes, files of 0 to 10 million rows; all by turns.

    (records for bench.jsonl, rows of the table).
    """
    directory = lab.directory
    by_batch = {batch: with_peers(directory, batch) for batch in READINGS}
    wide = [with_sqlite(directory, Load(batch, 1000, READINGS[batch]["ingest"]), rounds=2)
        for batch in (1, 100)]
    hundred = Load(100, NODES, READINGS[100]["ingest"])
    sizes = [1_000_000, 10_000_000]
    grown = [with_sqlite(directory, hundred, preload, 2) for preload in sizes]
    all_of = [*by_batch.values(), *wide, *grown]
    grid(HEADER, [measured.cells() for measured in all_of])
    print("  of SQLite: of its rate with the same rows and commits; others: times their rate;")
    print("  paho, mqtt.js, paper: stand-ins written here (peers/); RSS: the peak")
    cost = grown[-1].figure("cpu_us") / grown[0].figure("cpu_us")
    rows = peers_rows(by_batch)
    rows += [
        Row("cost a reading at 10M rows, of that at 1M", cost, "", at_most=1.3),
        Row("RSS, most of all", max(one.figure("rss_mb") for one in all_of), "MB", at_most=12),
    ]
    return [measured.record() for measured in all_of], rows
