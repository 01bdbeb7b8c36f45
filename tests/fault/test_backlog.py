"""Case 9: what was collected while the centre was away, by one node and by many at once."""

import resource
import subprocess
import time

import pytest

from fault.run import COLUMNS
from harness import eventually
from harness.bulk import accepted_count, collect, first_stream, missing_and_extra
from harness.service import BIN

NODES = BIN.parent / "test" / "nodes"
MESSAGES = 10  # of each node


@pytest.fixture
def full(request):
    """Whether the sizes of make test-fault are wanted."""
    return request.config.getoption("--full")


@pytest.fixture
def many_descriptors():
    """As many connections as the system allows, for the broker that the test starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def reported_lost(database):
    return sum(lost for (lost,) in database.query("SELECT lost FROM stream"))


def test_backlog_of_one_publisher(lab, full, seed, add_row):
    """A million readings (50,000) from an outage are stored once each when the centre is back."""
    readings = 1_000_000 if full else 50_000
    begin = time.monotonic()
    local, central = lab.broker(), lab.broker(start=False)
    publisher = lab.publisher(local, central, healthy=False)
    sampler = collect(lab, local, publisher, readings, sensors=10, seed=seed)
    accepted = accepted_count(sampler.ledger_path)
    central.start()
    lab.ingest(central)
    stream = first_stream(sampler.ledger_path)
    eventually(
        lambda: lab.database.intervals(stream) == [(1, readings)], "the backlog is stored", 300
    )
    missing, extra = missing_and_extra(lab.database, sampler.ledger_path)
    lost, stored = reported_lost(lab.database), lab.database.count()
    figures = [readings, accepted, stored, extra, missing, lost, round(time.monotonic() - begin)]
    add_row(dict(zip(COLUMNS, ["backlog of one publisher", seed, *figures])))
    assert accepted == readings
    assert (missing, extra, lost) == (0, 0, 0)


def start_nodes(central, directory, nodes, readings, seed):
    """The simulator's process; all its nodes connect at once."""
    command = [NODES, "--url", central.url(), "--nodes", nodes, "--readings", readings]
    command += ["--batch", readings // MESSAGES, "--seed", seed]
    with open(directory / "nodes", "wb") as ledger:
        return subprocess.Popen([str(part) for part in command], stdout=ledger)


def nodes_ledger(directory):
    """({node: {word: number}}, {word: number} of all) of what the simulator printed."""
    nodes, total = {}, {}
    for line in (directory / "nodes").read_text(encoding="ascii").splitlines():
        words = line.split(" ")
        numbers = {name: float(value) for name, value in (w.split("=") for w in words if "=" in w)}
        if words[0] == "node":
            nodes[words[1]] = numbers
        elif words[0] == "total":
            total = numbers
    return nodes, total


def rows_of_nodes(database, start_us):
    """{node: (rows, different times, first and last time, rows with a wrong value)}."""
    sql = (
        "SELECT sensor.topic, count(*), count(DISTINCT ts), min(ts), max(ts),"
        " sum(abs(temperature - (15 + (ts - ?) / 1e9)) > 1e-9)"
        " FROM reading JOIN sensor ON sensor.id = reading.sensor GROUP BY sensor.id"
    )
    return {topic.split("/")[-1]: tuple(row) for topic, *row in database.query(sql, start_us)}


def test_many_nodes_at_once(lab, full, seed, add_row, many_descriptors):
    """1,000 nodes (100) with 1,000 readings (100) each meet a centre that has just come back.

    It goes away once more while it takes them, and the answers under way with it.
    """
    begin = time.monotonic()
    nodes, readings = (1000, 1000) if full else (100, 100)
    central = lab.broker()
    # Not waited for: what arrives before ingest has subscribed dies in the broker.
    lab.ingest(central, healthy=False)
    process = start_nodes(central, lab.directory, nodes, readings, seed)
    try:
        eventually(lambda: lab.database.count() > 0, "the first readings are stored")
        central.kill()
        central.start()
        status = process.wait(300 if full else 90)
    finally:
        process.kill()
        process.wait(10)
    ledger, total = nodes_ledger(lab.directory)
    start_us = int(total["start_us"])
    stored = rows_of_nodes(lab.database, start_us)
    missing = sum(readings - stored.get(name, (0, 0))[1] for name in ledger)
    duplicates = sum(rows - different for rows, different, *_ in stored.values())
    sent, answered = int(total["made"]), int(total["answered"])
    lost, rows = reported_lost(lab.database), lab.database.count()
    figures = [sent, answered, rows, duplicates, missing, lost, round(time.monotonic() - begin)]
    add_row(dict(zip(COLUMNS, [f"{nodes} nodes come back at once", seed, *figures])))
    assert status == 0 and answered == sent == nodes * readings
    each = (readings, readings, start_us + 1000, start_us + 1000 * readings, 0)
    assert stored == {name: each for name in ledger} and len(ledger) == nodes
    assert lost == 0
    # Volleys that came before ingest are sent again; more than twice the work is a collapse.
    assert total["resent"] <= 2 * nodes * MESSAGES
