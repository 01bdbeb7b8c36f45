"""What arrives soon after a commit is committed together, no later than its senders allow."""

import itertools
import json
from functools import partial

import pytest

from harness import Peer, eventually
from harness.peer import new_stream, readings, senml
from harness.wait import DEADLINE_S

LONG_MS = 60000  # no test waits for it: what it delays is not answered before something ends it
assert LONG_MS > 1000 * DEADLINE_S


class Centre:
    """An ingest, one connection to its broker, and what its statistics say."""

    def __init__(self, lab, broker, **settings):
        self.lab = lab
        self.ingest = lab.ingest(broker, INSTANCE="gathering", STATS_PERIOD_S=1, **settings)
        # One connection: what is sent over it arrives in this order.
        self.client = lab.client(broker)
        self.client.subscribe("stats/#")

    def counters(self):
        messages = self.client.messages("stats/broker/ingest/gathering")
        return json.loads(messages[-1].payload) if messages else {}

    def commits(self, messages):
        """How many commits so many messages took."""
        counted = eventually(
            lambda: self.counters().get("messages") == messages and self.counters(),
            f"{messages} messages are counted",
        )
        return counted["commits"]

    def gathers(self, *sends):
        """Call each, which sends a message as large as the others; wait until all are queued."""
        sends[0]()
        one = eventually(lambda: self.counters().get("queued_bytes"), "one is gathered")
        for send in sends[1:]:
            send()
        wanted = len(sends) * one
        eventually(lambda: self.counters()["queued_bytes"] == wanted, "all are gathered")

    def plain(self, value):
        self.client.publish("/data/thermometer", json.dumps({"temperature": value}))

    def temperatures(self):
        return sorted(values["temperature"] for _, _, values in self.lab.database.readings())


@pytest.fixture
def centre(lab, central):
    return Centre(lab, central)


def send(peer, stream, seq, wait):
    return peer.send(stream, seq, senml(readings(seq, 1)), 1, wait=wait)


def stored(peer):
    """The numbers that are answered as stored."""
    ranges = [entry for answer in peer.answers() for entry in answer.get("stored", [])]
    return sorted(n for _, first, count in ranges for n in range(first, first + count))


@pytest.mark.stores
def test_what_follows_a_commit_waits_for_one_that_does_not(centre):
    """The first of a pause is answered at once; the others with an old node's, by one commit."""
    new, other = Peer(centre.client, "node1"), Peer(centre.client, "node2")
    old = Peer(centre.client, "node3")
    streams = new_stream(), new_stream()
    assert new.batch(streams[0], 1, 1, wait=LONG_MS) == {"stored": [[streams[0], 1, 1]]}
    peers = [(new, streams[0]), (other, streams[1])]
    centre.gathers(
        *[partial(send, *peer, seq, LONG_MS) for peer in peers for seq in range(2, 7)]
    )
    assert (stored(new), stored(other)) == ([1], [])
    old.batch(new_stream(), 1, 1)
    eventually(lambda: stored(new) == [1, 2, 3, 4, 5, 6], "one node hears of all")
    eventually(lambda: stored(other) == [2, 3, 4, 5, 6], "the other one as well")
    assert (len(new.answers()), len(other.answers())) == (2, 1)
    assert centre.commits(messages=12) == 2
    assert centre.lab.database.count() == 12


@pytest.mark.stores
def test_the_smallest_wait_ends_it(centre):
    """Nobody has to ask: when the smallest wait has passed since the commit, all are answered."""
    peer = Peer(centre.client)
    stream = new_stream()
    peer.batch(stream, 1, 1, wait=LONG_MS)
    centre.gathers(*[partial(send, peer, stream, seq, LONG_MS) for seq in range(2, 6)])
    assert stored(peer) == [1]
    send(peer, stream, 6, 8000)
    eventually(lambda: stored(peer) == [1, 2, 3, 4, 5, 6], "all are answered")
    assert centre.commits(messages=6) == 2


def test_an_odd_wait_is_counted_and_costs_nothing(centre):
    """Beyond 60 s it counts as 60 s, what is no number as none; a wait of 0 is not odd."""
    peer = Peer(centre.client)
    stream = new_stream()
    peer.batch(stream, 1, 1, wait=0)
    for seq, wait in enumerate((60001, 10**30, 2**64), 2):
        send(peer, stream, seq, wait)
    for seq, wait in enumerate(("soon", -1, "1e3", ""), 5):
        send(peer, stream, seq, wait)
    eventually(lambda: stored(peer) == list(range(1, 9)), "all are answered")
    centre.commits(messages=8)
    assert centre.counters()["odd_waits"] == 7


@pytest.mark.stores
def test_what_is_gathered_is_stored_at_a_stop(centre):
    """To gather is healthy, and a SIGTERM stores and answers it in its time."""
    peer = Peer(centre.client)
    stream = new_stream()
    peer.batch(stream, 1, 1, wait=LONG_MS)
    centre.gathers(*[partial(send, peer, stream, seq, LONG_MS) for seq in range(2, 7)])
    assert centre.ingest.health()[0] == 0
    assert stored(peer) == [1]
    centre.ingest.stop()
    assert centre.lab.database.count() == 6
    eventually(lambda: stored(peer) == [1, 2, 3, 4, 5, 6], "all are answered")


@pytest.mark.stores
def test_plain_messages_wait_for_each_other(lab, central):
    """Those that come after a commit are read and kept until the next one, which is for all."""
    centre = Centre(lab, central, PLAIN_WAIT="5s")
    eventually(lambda: centre.plain(0) or lab.database.count() > 0, "plain messages are taken")
    # So many without an acknowledgement: from now on the connection knows that it may be.
    centre.ingest.stop()
    for value in range(1, 101):
        centre.plain(value)
    centre.ingest.start()
    eventually(lambda: centre.temperatures()[-1] == 100, "the backlog is stored")
    centre.commits(messages=100)
    before = centre.counters()
    sent = itertools.count(101)

    def shared():
        """Send one more; how many have been in the commit of another one."""
        centre.plain(next(sent))
        now = centre.counters()
        return now["messages"] - before["messages"] - (now["commits"] - before["commits"])

    # Sent so far apart each would have one of its own.
    eventually(lambda: shared() >= 20, "they share commits", poll_s=0.1)
    last = next(sent)
    centre.plain(last)
    eventually(lambda: centre.temperatures()[-1] == last, "they are stored by themselves")
    assert [value for value in centre.temperatures() if value > 0] == list(range(1, last + 1))


@pytest.mark.parametrize("in_flight_bytes", [1, 100])
def test_a_broker_that_waits_for_acknowledgements_is_not_waited_for(lab, in_flight_bytes):
    """One message at a time, or a few: 200 of them do not take 200 PLAIN_WAITs, or 50."""
    broker = lab.broker(more=[f"max_inflight_bytes {in_flight_bytes}"])
    centre = Centre(lab, broker, PLAIN_WAIT="5s")
    eventually(lambda: centre.plain(0) or lab.database.count() > 0, "plain messages are taken")
    for value in range(1, 201):
        centre.plain(value)
    eventually(lambda: centre.temperatures()[-1] == 200, "all are stored")
    assert [value for value in centre.temperatures() if value > 0] == list(range(1, 201))
