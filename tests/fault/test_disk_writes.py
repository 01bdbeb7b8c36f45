"""SD cards wear out: while the link is up a node writes nothing to disk for its readings, and
a centre with nothing to store writes nothing at all."""

import time
from pathlib import Path

import pytest

from fault.systems import MOSQUITTO
from harness import Peer, eventually
from harness.peer import new_stream, senml
from harness.pruning import DAY_S, at
from harness.service import ROOT

CAPTURE = ROOT / "tests/data/am2301_1mhz.csv"
SHORT_S, FULL_S = 15, 600


@pytest.fixture
def window_s(request):
    """How long is measured."""
    return FULL_S if request.config.getoption("--full") else SHORT_S


def written_bytes(pid):
    """What the kernel counts as sent to the storage layer by a process."""
    for line in Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines():
        if line.startswith("write_bytes: "):
            return int(line.split()[1])
    raise AssertionError(f"/proc/{pid}/io counts no write_bytes")


def start_node(lab, **publisher_settings):
    """A node that replays a capture once a second, linked to a centre; {name: pid}."""
    local, central = lab.broker(), lab.broker()
    lab.ingest(central)
    publisher = lab.publisher(local, central, **publisher_settings)
    sampler = lab.sampler(local, f"climate=replay@{CAPTURE}", PERIOD_MS=1000, LEDGER=None)
    # The stream's node is noted in the outbox once, with its first reading.
    eventually(lambda: lab.database.count() >= 3, "readings flow")
    return {"sampler": sampler.pid, "publisher": publisher.pid, "mosquitto": local.process.pid}


def measure(lab, pids, seconds):
    """({name: bytes written}, readings stored) within a window of that length."""
    before = {name: written_bytes(pid) for name, pid in pids.items()}
    stored = lab.database.count()
    # The window of a measurement: nothing is waited for.
    time.sleep(seconds)
    written = {name: written_bytes(pid) - before[name] for name, pid in pids.items()}
    return written, lab.database.count() - stored


def test_a_linked_node_writes_nothing(lab, window_s, capsys):
    """10 minutes (15 s) at one reading a second: stored at the centre, no byte on the node's disk."""
    written, stored = measure(lab, start_node(lab), window_s)
    with capsys.disabled():
        print(f"\ndisk-writes seconds={window_s} stored={stored} " + words(written), flush=True)
    assert stored >= window_s - 2
    assert written == {"sampler": 0, "publisher": 0, "mosquitto": 0}


def test_the_counter_sees_an_outbox(lab):
    """The same measurement with the outbox in the way: it would have been seen."""
    written, stored = measure(lab, start_node(lab, SPILL_AFTER_MS=0), 5)
    assert stored >= 3
    assert written["publisher"] > 4096 * stored, words(written)
    assert (written["sampler"], written["mosquitto"]) == (0, 0)


# What mosquitto may write in a day: its state is saved every ten minutes, changed or not.
BROKER_DAY_BYTES = 20_000_000


def test_an_idle_centre_writes_nothing(lab, window_s, capsys):
    """Two ingests, a pruner that runs every second, nothing to store: no byte but the broker's."""
    central = lab.broker(settings=MOSQUITTO / "broker.conf")
    ingests = [lab.ingest(central) for _ in range(2)]
    peer = Peer(lab.client(central))
    assert "stored" in peer.ask(new_stream(), 1, senml([at(2 * DAY_S, 7)]), 1)
    pruner = lab.pruner(central, PRUNE_INTERVAL_S=1, LOG_LEVEL="info")
    eventually(lambda: lab.database.query("SELECT 1 FROM rollup"), "the reading is counted")
    eventually(lambda: lab.database.query("SELECT 1 FROM retention WHERE run_wall > 0"), "a run is over")
    eventually(lambda: lab.database.lease("plain"), "one replica holds the lease")
    pids = {"first": ingests[0].pid, "second": ingests[1].pid, "pruner": pruner.pid}
    written, stored = measure(lab, {**pids, "mosquitto": central.process.pid}, window_s)
    with capsys.disabled():
        print(f"\nidle-centre seconds={window_s} stored={stored} " + words(written), flush=True)
    # A save is due every ten minutes: the window has one more than its share at most.
    broker = written.pop("mosquitto")
    assert broker <= BROKER_DAY_BYTES * (window_s + 600) / 86400
    assert written == {"first": 0, "second": 0, "pruner": 0}


def words(written):
    return " ".join(f"{name}_bytes={count}" for name, count in written.items())
