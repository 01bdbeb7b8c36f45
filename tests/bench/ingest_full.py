"""What takes longer: 50 million rows, a minute at a given rate, 10,000 nodes, replicas."""

from statistics import median

import runs
from ingest import HEADER, NODES, READINGS, ROUNDS, Measured, with_sqlite
from runs import Load
from table import Row, grid

RATE = 450_000
SECONDS = 60
HISTORY = 10_000_000
MANY = 10_000
ALONE = 10_000_000  # rows of SQLite alone beside the minute
COMMIT = 15_000  # rows, about as many as ingest's under full load


def sustained(directory):
    """A minute from 1,000 nodes at a given rate into a file of 10 million rows.

    Beside it, what SQLite alone takes of such rows into such a file.
    """
    load = Load(100, 1000, 0, rate=RATE, seconds=SECONDS)
    history = runs.make_history(directory / "history-minute.db", HISTORY, load.nodes)
    measured = Measured(load, HISTORY)
    ours = runs.ingest(directory, load, history)
    measured.add("ingest", ours)
    rows = Load(load.batch, load.nodes, ALONE)
    measured.add("sqlite", runs.alone(directory, rows, ours["commit"], history))
    history.unlink()
    return measured


def many_nodes(directory, batch, readings):
    measured = Measured(Load(batch, MANY, readings, sensors=2))
    for _ in range(ROUNDS):
        measured.add("ingest", runs.ingest(directory, measured.load))
    return measured


def replicas(directory, batch):
    """One to three on one file, by turns."""
    load = Load(batch, NODES, READINGS[batch]["ingest"])
    all_of = [Measured(load, replicas=n) for n in (1, 2, 3)]
    for _ in range(2):
        for measured in all_of:
            measured.add("ingest", runs.ingest(directory, load, replicas=measured.replicas))
    return all_of


def layouts(directory, preload):
    """SQLite alone, a row by sensor and time, and by number with an index; by turns."""
    load = Load(100, NODES, READINGS[100]["ingest"])
    words = {"clustered": [], "by_number": ["by-number"]}
    rates = {layout: [] for layout in words}
    histories = {
        layout: runs.make_history(directory / f"{layout}.db", preload, NODES, words[layout])
        for layout in words
    }
    record = {"bench": "ingest_layout", "preload": preload}
    for layout, history in histories.items():
        record[f"{layout}_bytes_a_row"] = round(history.stat().st_size / preload, 1)
    for _ in range(ROUNDS):
        for layout, history in histories.items():
            figures = runs.alone(directory, load, COMMIT, history, words[layout])
            rates[layout].append(figures)
    for history in histories.values():
        history.unlink()
    for layout, all_of in rates.items():
        record[f"{layout}_rate"] = round(median(one["rate"] for one in all_of))
        record[f"{layout}_cpu_us"] = round(median(one["cpu_us"] for one in all_of), 3)
    return record


def measure(lab):
    """(records for bench.jsonl, rows of the table)."""
    directory = lab.directory
    hundred = Load(100, NODES, READINGS[100]["ingest"])
    grown = [with_sqlite(directory, hundred, rows, 2) for rows in (1_000_000, 50_000_000)]
    minute = sustained(directory)
    many = [many_nodes(directory, 1, 100_000), many_nodes(directory, 100, 5_000_000)]
    side_by_side = [one for batch in (1, 100) for one in replicas(directory, batch)]
    all_of = [*grown, minute, *many, *side_by_side]
    grid(
        ["replicas", *HEADER],
        [[str(measured.replicas), *measured.cells()] for measured in all_of],
    )
    laid_out = [layouts(directory, rows) for rows in (10_000_000, 50_000_000)]
    cost = grown[1].figure("cpu_us") / grown[0].figure("cpu_us")
    rss = max(one.figure("rss_mb") for one in [minute, *many])
    rows = [
        Row("cost a reading at 50M rows, of that at 1M", cost, "", at_most=1.3),
        Row(f"{SECONDS} s from 1,000 nodes", minute.figure("rate"), "/s", at_least=RATE * 0.99),
        Row("of SQLite alone with such rows and commits", minute.ratio("sqlite"), ""),
        Row("longest wait for an answer meanwhile", minute.figure("max"), "ms"),
        Row("RSS at 10,000 nodes and in that minute", rss, "MB", at_most=12),
    ]
    for record in laid_out:
        for layout in ("clustered", "by_number"):
            what = f"SQLite alone, {layout}, {record['preload']:,} rows before"
            rows.append(Row(what, record[f"{layout}_rate"], "/s"))
            rows.append(Row(f"{what}: file", record[f"{layout}_bytes_a_row"], "bytes a row"))
    return [measured.record() for measured in all_of] + laid_out, rows
