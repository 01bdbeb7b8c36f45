"""Boards without a clock: every reading is kept, gets the best time there is, and says how good."""

import json
import time
from collections import Counter

import pytest

from harness import BoardClock, Ledger, eventually
from harness.clock import BUILT_LONG_AGO_S
from harness.oracle import stored_whenever

COUNT = 300
SYNCED, UNSYNCED, GUESSED = 0, 1, 2


@pytest.fixture
def clock(lab):
    """A board that has booted in 1970."""
    return BoardClock(lab.directory, wall_s=BUILT_LONG_AGO_S)


def board(lab, local, central, clock, count=COUNT, **settings):
    """The node on that board: (publisher, sampler)."""
    settings = {"CLOCK_FILE": clock.path, **settings}
    waits = {"CLOCK_WAIT_MAX": settings.pop("CLOCK_WAIT_MAX", "1h")}
    publisher = lab.publisher(
        local, central, healthy=False, SPILL_AFTER_MS=300, **waits, **settings
    )
    sampler = lab.sampler(local, f"bench=sim@42,count={count}", PERIOD_MS=2, **settings)
    return publisher, sampler


def all_accepted(sampler, count=COUNT):
    def accepted():
        assert len(Ledger(sampler.ledger_path).accepted) == count
        return True

    eventually(accepted, f"{count} readings are accepted")


def stored_once(lab, sampler, count=COUNT):
    """Wait until every reading of the ledger is stored, each once; returns the rows by time."""
    return stored_whenever(lab, [sampler], count)


def in_order_of_number(rows):
    """The simulated temperature counts up: the order of times is the order of sampling."""
    temperatures = [values["temperature"] for _, _, values in rows]
    return temperatures == sorted(temperatures)


def test_the_clock_is_set_late(lab, local, central, clock):
    """Readings of 1970 wait in the outbox, and are stored with the time at which they were taken."""
    lab.ingest(central)
    before = time.time()
    _, sampler = board(lab, local, central, clock)
    all_accepted(sampler)
    after = time.time()
    assert lab.database.count() == 0
    clock.set()
    rows = stored_once(lab, sampler)
    assert before - 0.1 < rows[0][1] / 1e6 and rows[-1][1] / 1e6 < after + 0.1
    assert in_order_of_number(rows)
    assert set(lab.database.clock_marks()) == {SYNCED}


def test_the_clock_is_never_set(lab, local, central, clock):
    """After CLOCK_WAIT_MAX the publisher guesses, says so, and keeps the distances."""
    lab.ingest(central)
    _, sampler = board(lab, local, central, clock, CLOCK_WAIT_MAX="3s")
    rows = stored_once(lab, sampler)
    assert set(lab.database.clock_marks()) == {GUESSED}
    assert in_order_of_number(rows)
    span_s = (rows[-1][1] - rows[0][1]) / 1e6
    assert COUNT * 0.0015 < span_s < 30
    assert rows[0][1] > 1.6e15, "not before the program was built"


def test_an_outbox_without_a_clock_survives_the_publisher(lab, local, central, clock):
    """SIGKILL while readings wait for the clock: they are dated after it all the same."""
    lab.ingest(central)
    before = time.time()
    publisher, sampler = board(lab, local, central, clock)
    all_accepted(sampler)
    publisher.kill()
    clock.set(synchronised=False)
    publisher.start()
    rows = stored_once(lab, sampler)
    assert before - 0.1 < rows[0][1] / 1e6 < rows[-1][1] / 1e6 < time.time()
    assert set(lab.database.clock_marks()) == {UNSYNCED}


def test_the_boot_is_gone(lab, local, central, clock):
    """Readings of an earlier boot are guessed to lie before this one, which has its own times."""
    publisher, sampler = board(lab, local, central, clock)
    all_accepted(sampler)
    for part in (sampler, publisher):
        part.kill()
    clock.reboot()
    publisher.start()
    sampler.start()
    lab.ingest(central)
    all_accepted(sampler, 2 * COUNT)
    rows = stored_once(lab, sampler, 2 * COUNT)
    assert Counter(lab.database.clock_marks()) == {GUESSED: COUNT, SYNCED: COUNT}
    assert set(lab.database.clock_marks()[:COUNT]) == {GUESSED}
    assert in_order_of_number(rows[:COUNT]) and in_order_of_number(rows[COUNT:])


def test_two_boots_without_a_clock(lab, local, central, clock):
    """Two boots in 1970, never a clock: neither hides the other, and they follow one another."""
    publisher, sampler = board(lab, local, central, clock, CLOCK_WAIT_MAX="2s")
    all_accepted(sampler)
    for part in (sampler, publisher):
        part.kill()
    clock.reboot(wall_s=BUILT_LONG_AGO_S)
    publisher.start()
    sampler.start()
    lab.ingest(central)
    all_accepted(sampler, 2 * COUNT)
    rows = stored_once(lab, sampler, 2 * COUNT)
    assert set(lab.database.clock_marks()) == {GUESSED}
    assert in_order_of_number(rows[:COUNT]) and in_order_of_number(rows[COUNT:])


def test_two_boots_with_the_same_wrong_clock(lab, local, central, clock):
    """A board that starts at the same plausible time twice: same times, and yet every row is there."""
    lab.ingest(central)
    # Ahead: what is before the build's date, which may be today's, is no time at all.
    wrong_s = time.time() + 5000
    clock.set(wall_s=wrong_s, synchronised=False)
    _, sampler = board(lab, local, central, clock)
    all_accepted(sampler)
    sampler.kill()
    clock.reboot(wall_s=wrong_s, synchronised=False)
    sampler.start()
    all_accepted(sampler, 2 * COUNT)
    rows = stored_once(lab, sampler, 2 * COUNT)
    assert set(lab.database.clock_marks()) == {UNSYNCED}
    assert rows[0][1] / 1e6 > time.time() + 4000


def test_a_clock_that_nobody_vouches_for(lab, local, central, clock):
    """STA_UNSYNC for ever: sent at once, marked; with CLOCK_TRUST=always not even marked."""
    lab.ingest(central)
    clock.set(synchronised=False)
    _, sampler = board(lab, local, central, clock)
    stored_once(lab, sampler)
    assert set(lab.database.clock_marks()) == {UNSYNCED}


def test_only_the_kernels_word_counts(lab, local, central, clock):
    """CLOCK_TRUST=kernel: readings wait until the kernel says that the clock is synchronised."""
    lab.ingest(central)
    clock.set(synchronised=False)
    before = time.time()
    _, sampler = board(lab, local, central, clock, CLOCK_TRUST="kernel")
    all_accepted(sampler)
    assert lab.database.count() == 0
    clock.set(synchronised=True)
    rows = stored_once(lab, sampler)
    assert set(lab.database.clock_marks()) == {SYNCED}
    assert before - 0.1 < rows[0][1] / 1e6 < rows[-1][1] / 1e6 < time.time()


def test_a_step_back_of_an_hour(lab, local, central, clock):
    """The clock is set back while readings flow: all are stored, and state shows the newest."""
    lab.ingest(central)
    clock.set(wall_s=time.time() + 3600)
    watcher = lab.client(central)
    watcher.subscribe("state/#")
    # Many, so that it still flows when a busy machine comes to set the clock.
    count = 10 * COUNT
    _, sampler = board(lab, local, central, clock, count)
    eventually(lambda: lab.database.count() > COUNT // 3, "readings flow")
    clock.set()
    rows = stored_once(lab, sampler, count)
    assert rows[-1][1] - rows[0][1] > 3500e6, "the step is in the data"
    last = Ledger(sampler.ledger_path)
    temperature = last.readings[(last.runs[0], count)][2]["temperature"]
    watcher.wait_message(
        "state/raspberrypi4/bench", lambda m: str(temperature).encode() in m.payload
    )


def test_ten_years_ahead_for_a_moment(lab, local, central, clock):
    """Readings of the jump are marked though the kernel vouches for them; later ones are not."""
    lab.ingest(central)
    clock.set()
    node, watcher = lab.client(local), lab.client(central)
    node.subscribe("local/reading/+")
    watcher.subscribe("state/#")
    lab.publisher(local, central, CLOCK_FILE=clock.path)
    sampler = lab.sampler(local, "bench=sim@42", PERIOD_MS=20, CLOCK_FILE=clock.path)
    day_ahead = time.time() + 86400

    def marks(ahead):
        """Of the readings that were sent with a time of today, or with one of 2036."""
        found = []
        for message in node.messages():
            if message.payload:
                is_ahead = json.loads(message.payload)[0]["bt"] > day_ahead
                if is_ahead == ahead:
                    found.append(dict(message.properties.UserProperty).get("clock", "synced"))
        return found

    eventually(lambda: len(marks(ahead=False)) > 10, "readings flow")
    clock.set(wall_s=time.time() + 10 * 366 * 86400)
    eventually(lambda: len(marks(ahead=True)) > 10, "and are of 2036")
    before = len(marks(ahead=False))
    clock.set()
    eventually(lambda: len(marks(ahead=False)) > before + 10, "the clock is right again")
    assert set(marks(ahead=True)) == {"unsynced"}
    assert set(marks(ahead=False)) == {"synced"}
    log = sampler.stderr()
    assert "by_s=3162" in log and "the clock is believed again" in log

    def shown():
        return json.loads(watcher.messages("state/raspberrypi4/bench")[-1].payload)["time"]

    eventually(lambda: shown() < day_ahead, "what is shown is of today")


def test_the_state_of_a_board_without_a_clock(lab, local, central, clock):
    """What people read is live all the same: the values, without a time."""
    watcher = lab.client(central)
    watcher.subscribe("state/#")
    board(lab, local, central, clock)
    message = watcher.wait_message("state/raspberrypi4/bench")
    assert b"temperature" in message.payload and b"time" not in message.payload


def test_the_plain_lease_changes_hands_while_the_clock_shows_1970(lab, central):
    """All renewals are of one instant, that of the build; a dead holder is missed all the same."""
    clock = BoardClock(lab.directory, wall_s=BUILT_LONG_AGO_S)
    first = lab.ingest(central, CLOCK_FILE=clock.path)
    holder, number = eventually(lambda: lab.database.lease("plain"), "a holder")
    lab.ingest(central, CLOCK_FILE=clock.path)
    device = lab.client(central)

    def stored():
        device.publish("/data/x", '{"temperature":1}')
        return lab.database.count() > before

    before = 0
    eventually(stored, "plain messages are taken")
    first.kill()
    before = lab.database.count()
    eventually(stored, "the other one takes them")
    successor = lab.database.lease("plain")
    assert successor[0] != holder and successor[1] > number
