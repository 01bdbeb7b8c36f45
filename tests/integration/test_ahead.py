"""Readings from a clock that is years ahead: stored, and marked so that nobody is misled."""

import json

import pytest

from harness import BoardClock, Peer, eventually
from harness.clock import BUILT_LONG_AGO_S
from harness.peer import new_stream, senml
from harness.pruning import DAY_S, at

AHEAD = 3


def ahead_counted(client):
    messages = client.messages("stats/broker/ingest/ahead")
    return json.loads(messages[-1].payload)["ahead"] if messages else None


@pytest.mark.stores
def test_what_is_more_than_a_day_ahead_is_marked(lab, central):
    """Native and plain alike, whatever the sender says of its clock; counted in stats."""
    lab.ingest(central, INSTANCE="ahead", STATS_PERIOD_S=1)
    client = lab.client(central)
    client.subscribe("stats/#")
    peer = Peer(client)
    for clock, first in ((None, 1), ("unsynced", 11)):
        ages = (-3652 * DAY_S, -2 * DAY_S, -DAY_S // 2, 60)
        readings = [at(age, first + i) for i, age in enumerate(ages)]
        answer = peer.ask(new_stream(), 1, senml(readings), len(readings), clock=clock)
        assert "stored" in answer, answer
    marks = dict(lab.database.query("SELECT temperature, clock FROM reading"))
    assert marks == {1: AHEAD, 2: AHEAD, 3: 0, 4: 0, 11: AHEAD, 12: AHEAD, 13: 1, 14: 1}

    def plain_marked():
        client.publish("/data/kitchen", json.dumps({"time": "2099-01-01T00:00:00Z", "temperature": 5}))
        return (AHEAD,) in lab.database.query("SELECT clock FROM reading WHERE temperature = 5")

    eventually(plain_marked, "a plain message is marked as well")
    marked = lab.database.clock_marks().count(AHEAD)
    eventually(lambda: (ahead_counted(client) or 0) >= marked, "they are counted")


def test_a_centre_without_a_clock_marks_nothing(lab, central):
    """In 1970 everything is ahead: as long as its own clock is not plausible it does not judge."""
    clock = BoardClock(lab.directory, wall_s=BUILT_LONG_AGO_S)
    lab.ingest(central, CLOCK_FILE=clock.path)
    answer = Peer(lab.client(central)).ask(new_stream(), 1, senml([at(60, 1), at(0, 2)]), 2)
    assert "stored" in answer
    assert lab.database.clock_marks() == [0, 0]
