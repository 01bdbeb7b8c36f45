"""ingest's side of common/README.md, asked by a publisher made by hand."""

import pytest

from harness import Peer, eventually
from harness.peer import new_stream, reading, readings, senml

pytestmark = pytest.mark.stores


@pytest.fixture
def peer(lab, central):
    """A hand-made publisher of node `bench`; one ingest runs."""
    lab.ingest(central)
    return Peer(lab.client(central))


def stored_numbers(database, sensor="climate"):
    """The sequence numbers that peer.reading() wrote into the rows' values, sorted."""
    rows = [values for name, _, values in database.readings() if name == sensor]
    return sorted(round((values["temperature"] - 20) * 1000) for values in rows)


@pytest.mark.tsan
def test_a_batch_is_answered_after_it_is_stored(lab, peer):
    """`stored` names stream, first and count, echoes the correlation data, and is true."""
    stream = new_stream()
    answer = peer.batch(stream, 1, 3)
    assert answer == {"stored": [[stream, 1, 3]]}
    # No waiting here: the answer leaves after the commit.
    rows = sorted(lab.database.readings())
    expected = [
        ("climate", (1732312345 + seq) * 10**6, {"temperature": 20 + seq / 1000, "humidity": 40 + seq / 1000})
        for seq in (1, 2, 3)
    ]
    assert rows == expected
    assert lab.database.topics() == {"/data/bench"}


@pytest.mark.tsan
def test_the_same_batch_again_is_answered_and_not_stored_again(lab, peer):
    """A batch sent twice, as after a lost answer, is stored once and answered twice."""
    stream = new_stream()
    for _ in range(2):
        assert peer.batch(stream, 1, 5)["stored"] == [[stream, 1, 5]]
    assert stored_numbers(lab.database) == [1, 2, 3, 4, 5]


def test_batches_may_be_cut_differently_when_sent_again(lab, peer):
    """Overlapping runs, runs around and inside what is stored: each reading once."""
    stream = new_stream()
    for first, count in [(5, 4), (1, 2), (7, 6), (1, 12), (3, 1), (11, 5)]:
        stored = peer.batch(stream, first, count)["stored"]
        assert covers(stored, stream, first, count)
    assert stored_numbers(lab.database) == list(range(1, 16))


def covers(ranges, stream, first, count):
    """Whether a list of [stream, first, count] has all of these numbers."""
    have = set()
    for name, begin, length in ranges:
        if name == stream:
            have.update(range(begin, begin + length))
    return set(range(first, first + count)) <= have


def test_time_and_units_of_a_reading(lab, peer):
    """Microseconds survive; a value whose unit and name are new gets a column of its own."""
    stream = new_stream()
    record = {"bn": "air/", "bt": 1732312345.123456, "n": "pressure", "u": "Pa", "v": 101325.25}
    assert "stored" in peer.ask(stream, 1, senml([[record]]), 1)
    assert lab.database.readings() == [("air", 1732312345123456, {"pressure": 101325.25})]
    assert ("pressure", "Pa") in lab.database.channels()


def test_the_clock_mark_is_stored(lab, peer):
    """clock=unsynced and clock=guessed are kept with the readings."""
    stream = new_stream()
    peer.batch(stream, 1, 1)
    peer.batch(stream, 2, 1, clock="unsynced")
    peer.batch(stream, 3, 1, clock="guessed")
    assert lab.database.clock_marks() == [0, 1, 2]


def test_low_closes_what_can_never_come(lab, peer):
    """What is missing below `low` is lost: counted, with its range; nothing above it is."""
    stream = new_stream()
    peer.batch(stream, 1, 2)
    peer.batch(stream, 10, 2, low=1)
    assert lab.database.lost(stream) == []
    peer.batch(stream, 20, 1, low=8)
    assert lab.database.lost(stream) == [(3, 7)]
    peer.batch(stream, 21, 1, low=21)
    assert lab.database.lost(stream) == [(3, 9), (12, 19)]
    assert lab.database.lost_count(stream) == 7 + 8


def test_a_message_of_low_alone_closes_a_stream(lab, peer):
    """count 0 with a `low` carries no reading and closes what is missing below it."""
    stream = new_stream()
    peer.batch(stream, 3, 2)
    assert peer.ask(stream, 5, b"", 0, low=5) == {}
    eventually(lambda: lab.database.lost(stream) == [(1, 2)], "the gap is closed")
    assert stored_numbers(lab.database) == [3, 4]


def test_a_low_that_goes_back_changes_nothing(lab, peer):
    """The highest `low` counts: an older message that comes late neither reopens nor loses."""
    stream = new_stream()
    peer.batch(stream, 5, 1, low=5)
    peer.batch(stream, 9, 1, low=2)
    assert lab.database.lost_count(stream) == 4
    assert stored_numbers(lab.database) == [5, 9]


def test_an_unknown_version_is_kept_for_later(lab, peer):
    """v=3: not stored, not rejected, no dead letter; the sender keeps it. Then v=1 is stored."""
    stream = new_stream()
    answer = peer.batch(stream, 1, 2, v="3")
    assert [entry[:3] for entry in answer["later"]] == [[stream, 1, 2]]
    assert "stored" not in answer and "rejected" not in answer
    assert lab.database.readings() == [] and lab.database.dead_letters() == []
    assert peer.batch(stream, 1, 2)["stored"] == [[stream, 1, 2]]


def test_a_stream_belongs_to_the_node_it_was_first_seen_on(lab, central, peer):
    """Another node's batch of the stream is answered `later` and not stored."""
    stream = new_stream()
    peer.batch(stream, 1, 2)
    other = Peer(lab.client(central), node="intruder")
    answer = other.batch(stream, 3, 2)
    assert [entry[:3] for entry in answer["later"]] == [[stream, 3, 2]]
    assert stored_numbers(lab.database) == [1, 2]
    assert peer.batch(stream, 3, 2)["stored"] == [[stream, 3, 2]]


def test_answers_go_only_below_the_nodes_own_ack_topic(lab, peer):
    """A response topic elsewhere gets no answer, whatever it says; the readings are stored."""
    stream = new_stream()
    elsewhere = ["evil/topic", "ack/other/hand", "ack/benchmark/x", "ack/bench"]
    peer.client.subscribe("evil/#")
    peer.client.subscribe("ack/#")
    for seq, response in enumerate(elsewhere, 1):
        peer.send(stream, seq, senml(readings(seq, 1)), 1, response=response)
    # ingest answers in order: once this one is answered, those before were dealt with.
    peer.batch(stream, 5, 1)
    assert stored_numbers(lab.database) == [1, 2, 3, 4, 5]
    assert {message.topic for message in peer.client.messages()} == {peer.response}


def open_1024_gaps(lab, peer, stream):
    """Store 1, 3, 5 ... 2049: 1025 intervals, and 1024 gaps between them."""
    for first in range(1, 2050, 2):
        peer.send(stream, first, senml(readings(first, 1)), 1)
    eventually(lambda: lab.database.count() == 1025, "1025 separate readings are stored")


def test_a_stream_may_have_1024_gaps(lab, peer):
    """At the cap only what extends or joins an interval is taken; filled gaps make room again."""
    stream = new_stream()
    open_1024_gaps(lab, peer, stream)
    answer = peer.batch(stream, 5000, 1)
    assert [entry[:3] for entry in answer["later"]] == [[stream, 5000, 1]]
    assert peer.batch(stream, 2050, 1)["stored"] == [[stream, 2050, 1]], "extends the last interval"
    assert peer.batch(stream, 2, 1)["stored"] == [[stream, 2, 1]], "joins two"
    assert peer.batch(stream, 5000, 1)["stored"] == [[stream, 5000, 1]]
    assert lab.database.count() == 1025 + 3


def test_low_unsticks_a_stream_at_the_cap(lab, peer):
    """Gaps below `low` do not count: a stream at the cap goes on once its low has risen."""
    stream = new_stream()
    open_1024_gaps(lab, peer, stream)
    assert "later" in peer.batch(stream, 9000, 1, low=1)
    assert peer.batch(stream, 9000, 1, low=9000)["stored"] == [[stream, 9000, 1]]
    assert lab.database.lost_count(stream) == 8999 - 1025


def test_streams_of_one_node_are_apart(lab, peer):
    """The same numbers of two streams are different readings."""
    first, second = new_stream(), new_stream()
    peer.batch(first, 1, 2)
    peer.batch(second, 1, 2)
    assert stored_numbers(lab.database) == [1, 1, 2, 2]


def test_another_topic_prefix(lab, central):
    """TOPIC_PREFIX moves batches and the stored topic."""
    lab.ingest(central, TOPIC_PREFIX="plant/line1")
    peer = Peer(lab.client(central), prefix="plant/line1")
    assert "stored" in peer.batch(new_stream(), 1, 1)
    assert lab.database.topics() == {"plant/line1/bench"}


def test_readings_of_one_instant_do_not_run_together(lab, peer):
    """Two readings of one sensor and one time, each begun by bn, are two readings."""
    stream = new_stream()
    twins = [reading(1), reading(1)]
    assert peer.ask(stream, 1, senml(twins), 2)["stored"] == [[stream, 1, 2]]
    assert len(lab.database.readings()) == 2
