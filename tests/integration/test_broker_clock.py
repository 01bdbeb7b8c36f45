"""Wrong clocks over mutual TLS, on the node's board, the broker's or both, and clocks that are set late.

Whatever the clocks show, a board connects and shows its readings as soon as it is started. A
reading is stored at once where the node has a time, even a wrong one; without a time it is kept
by the node, and stored once that has one (or after CLOCK_WAIT_MAX, with a guess: test_clock.py).
"""

import json
import time

import pytest

from harness import BoardClock, Certificates, Ledger, eventually
from harness.certs import ALWAYS
from harness.clock import BUILT_LONG_AGO_S, YEAR_2037_S
from harness.oracle import all_accepted, stored_whenever
from harness.service import BIN, ROOT

# Not with ThreadSanitizer: see test_connection.py.

# A mosquitto whose clock jumps by 56 years needs 7 s of a PC's processor for it, alone.
LIMIT_S = 400
PATIENCE_S = 300
YEAR_S = 365 * 86400

MOSQUITTO = ROOT / "compose/mosquitto"
COUNT = 400
RIGHT = None
CLOCKS = {"1970": BUILT_LONG_AGO_S, "now": RIGHT, "2037": YEAR_2037_S}
AHEAD = 3

# From the node's start to its first reading at the centre; sanitizers stretch it.
DELIVERS_S = {"asan": 15.0}.get(BIN.parent.name, 5.0)


@pytest.fixture(scope="module")
def always(tmp_path_factory):
    """Certificates that are valid from 1970 to 9999."""
    return Certificates(tmp_path_factory.mktemp("always"), validity=ALWAYS)


class Boards:
    """The broker's board, and a node with COUNT readings under way."""

    def __init__(self, lab, always, node, broker, synchronised=True):
        self.lab, self.always = lab, always
        self.centre = BoardClock(lab.directory, wall_s=broker, synchronised=synchronised)
        self.board = BoardClock(lab.directory, wall_s=node)
        # The node's own broker is a year late instead, which it counts in no time.
        late_s = time.time() - YEAR_S
        self.near = BoardClock(lab.directory, wall_s=late_s if node == BUILT_LONG_AGO_S else node)
        self.central = lab.broker(
            settings=MOSQUITTO / "broker.conf",
            certificates=always,
            named=True,
            revocations=always.revocations(),
            clock=self.centre,
            more=["connection_messages true"],
        )
        self.ingest = lab.ingest(self.central.inside, CLOCK_FILE=self.centre.path)
        self.watcher = lab.client(self.central.inside)
        self.watcher.subscribe("state/#")

    def start_node(self):
        """As a board starts: nothing waits for anything else."""
        self.local = self.lab.broker(settings=MOSQUITTO / "node.conf", clock=self.near)
        settings = {"CLOCK_FILE": self.board.path, "healthy": False}
        self.publisher = self.lab.publisher(
            self.local,
            self.central,
            node="orangepi0",
            SPILL_AFTER_MS=500,
            **settings,
            **self.always.files(self.always.client("orangepi0")),
        )
        self.sampler = self.lab.sampler(
            self.local, f"bench=sim@42,count={COUNT}", PERIOD_MS=20, **settings
        )

    def shown(self):
        """The first state that the centre shows of the node's sensor."""
        messages = self.watcher.messages("state/orangepi0/bench")
        assert messages, self.publisher.stderr()
        return json.loads(messages[0].payload)

    def connections(self):
        return self.publisher.connections(self.central)

    def jumped(self):
        """The broker has seen its clock jump, and hangs up on its clients."""
        return "has exceeded timeout, disconnecting" in self.central.process.stderr()

    def accepted(self):
        return len(Ledger(self.sampler.ledger_path).accepted)


@pytest.mark.parametrize(
    "node, broker",
    [("1970", "now"), ("now", "1970"), ("1970", "1970"), ("2037", "now"), ("now", "2037"), ("2037", "2037")],
)
def test_a_board_delivers_at_once_whatever_the_clocks(lab, always, node, broker):
    """It delivers at once; then both clocks are set under way: every reading is stored, once."""
    boards = Boards(lab, always, CLOCKS[node], CLOCKS[broker])
    before, end = time.time(), time.monotonic() + DELIVERS_S
    boards.start_node()
    state = eventually(boards.shown, "the centre shows its readings", end - time.monotonic())
    assert "temperature" in state
    assert ("time" in state) == (node != "1970")
    eventually(lambda: boards.accepted() >= COUNT // 10, "readings are accepted")
    if node == "1970":
        assert lab.database.count() == 0
    else:
        eventually(lambda: lab.database.count() > 0, "they are stored")
    assert boards.connections() == 1

    for clock in (boards.centre, boards.board, boards.near):
        clock.set()
    all_accepted(boards.sampler, COUNT, PATIENCE_S)
    after = time.time()
    rows = stored_whenever(lab, [boards.sampler], COUNT, PATIENCE_S)
    assert "this may be wrong" not in boards.publisher.stderr()
    if broker == "1970":
        assert boards.jumped() and boards.connections() > 1
    if node == "2037":
        assert rows[-1][1] / 1e6 > YEAR_2037_S - 1
        assert broker == "2037" or AHEAD in lab.database.clock_marks()
    else:
        assert before - 0.1 < rows[0][1] / 1e6 < rows[-1][1] / 1e6 < after + 0.1


@pytest.mark.parametrize("ingest_is", ["away", "frozen"])
def test_plain_messages_outlive_the_brokers_jump(lab, always, ingest_is):
    """A board that was off for a month starts at its last time: what others' devices sent then waits for ingest."""
    boards = Boards(lab, always, RIGHT, time.time() - 30 * 86400, synchronised=False)
    device = lab.client(boards.central.inside)

    def taken():
        device.publish("/data/device", '{"temperature": 0}')
        return lab.database.count() > 0

    eventually(taken, "plain messages are taken")
    boards.ingest.kill() if ingest_is == "away" else boards.ingest.freeze()
    for value in range(1, 101):
        device.publish("/data/device", json.dumps({"temperature": value}))
    boards.centre.set()
    eventually(boards.jumped, "the broker's clock jumps")
    boards.ingest.start(healthy=False) if ingest_is == "away" else boards.ingest.thaw()

    def stored():
        sql = "SELECT DISTINCT temperature FROM reading WHERE temperature > 0"
        values = sorted(value for (value,) in lab.database.query(sql))
        assert values == list(range(1, 101))
        return True

    eventually(stored, "all are stored", PATIENCE_S)
