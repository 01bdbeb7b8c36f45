"""What the database itself refuses: the message is a dead letter, all others are stored, and answered."""

import json
import zlib

import pytest

from harness import Peer, eventually
from harness.peer import new_stream, reading, readings, senml
from harness.rules import Rules

pytestmark = pytest.mark.stores

HOT = 5000  # degrees, which an administrator has forbidden
WORDS = "too hot to be true"


@pytest.fixture
def ingest(lab, central):
    """It takes plain messages, and there are tables."""
    ingest = lab.ingest(central)
    client = lab.client(central)

    def taken():
        client.publish("/data/probe", '{"probe":1}')
        return lab.database.count() > 0

    eventually(taken, "plain messages are taken", poll_s=0.2)
    # Acknowledged too: the next one is the last that is on its way.
    client.publish("/data/last", '{"probe":2}')
    eventually(lambda: 2 in [v.get("probe") for _, _, v in lab.database.readings()], "the last is stored")
    return ingest


@pytest.fixture
def rules(lab, ingest):
    return Rules(lab)


def temperatures(lab, topic):
    sql = "SELECT temperature FROM reading JOIN sensor ON sensor.id = sensor WHERE topic = ? ORDER BY 1"
    return [value for (value,) in lab.database.query(sql, topic)]


def hot(seq):
    return senml([reading(seq, temperature=HOT)])


def answered(peer, what):
    """{(stream, first, count)} of all answers; one may cover many batches."""
    return {tuple(entry[:3]) for answer in peer.answers() for entry in answer.get(what, [])}


def numbers(peer, what):
    return sorted(n for _, first, count in answered(peer, what) for n in range(first, first + count))


def lines(ingest, topic):
    return [e for e in ingest.events() if e.get("topic") == topic and "letters" in e]


def test_the_offenders_of_a_group_alone_are_dead_letters(lab, central, ingest, rules):
    """Among 40 batches and 40 plain messages that arrive together, three of either are refused."""
    rules.forbid("reading", f"new.temperature >= {HOT}", WORDS)
    peer, device = Peer(lab.client(central)), lab.client(central)
    streams = [new_stream() for _ in range(40)]
    refused = {0, 17, 39}
    ingest.freeze()  # so that they are one group
    for n, stream in enumerate(streams):
        payload, count = (hot(1), 1) if n in refused else (senml(readings(1, 5)), 5)
        peer.send(stream, 1, payload, count)
        value = HOT if n in refused else n
        device.publish("/data/oven", json.dumps({"temperature": value}))
    ingest.thaw()
    eventually(lambda: len(answered(peer, "stored") | answered(peer, "rejected")) == 40, "all are answered")
    bad = {streams[n] for n in refused}
    assert answered(peer, "rejected") == {(stream, 1, 1) for stream in bad}
    assert answered(peer, "stored") == {(stream, 1, 5) for stream in streams if stream not in bad}
    for stream in streams:
        assert lab.database.intervals(stream) == [(1, 1 if stream in bad else 5)]
    expected = sorted(n for n in range(40) if n not in refused)
    eventually(lambda: temperatures(lab, "/data/oven") == expected, "the others are stored, once")
    assert len(temperatures(lab, "/data/bench")) == 37 * 5
    eventually(lambda: len(lab.database.dead_letters()) == 6, "the six are kept")
    for letter in lab.database.dead_letters():
        assert letter["topic"] in ("/data/bench/batch", "/data/oven")
        assert letter["reason"] == f"the database does not take it: {WORDS}"
        assert b"5000" in letter["payload"] and letter["bytes"] == len(letter["payload"])
    assert len(lines(ingest, "/data/oven")) == len(lines(ingest, "/data/bench/batch")) == 1
    ingest.wait_healthy()
    # All are acknowledged: nothing comes again to who comes next.
    ingest.restart()
    device.publish("/data/oven", json.dumps({"temperature": 99}))
    eventually(lambda: temperatures(lab, "/data/oven") == [*expected, 99], "and nothing else")
    assert len(lab.database.dead_letters()) == 6


@pytest.mark.parametrize("encoding", [None, "deflate"])
def test_the_offender_of_a_batch_alone_is_a_dead_letter(lab, central, ingest, rules, encoding):
    """The other readings of its message are stored and answered."""
    rules.forbid("reading", f"new.temperature >= {HOT}", WORDS)
    peer, stream = Peer(lab.client(central)), new_stream()
    batch = readings(1, 20)
    for seq in (7, 20):
        batch[seq - 1] = reading(seq, temperature=HOT, humidity=40)
    payload, v = senml(batch), "1"
    if encoding is not None:
        payload, v = zlib.compress(payload), "2"
    peer.send(stream, 1, payload, 20, v=v, encoding=encoding)
    all_numbers = list(range(1, 21))
    eventually(
        lambda: sorted(numbers(peer, "stored") + numbers(peer, "rejected")) == all_numbers,
        "all are answered",
    )
    assert numbers(peer, "rejected") == [7, 20]
    assert [letter["seq"] for letter in lab.database.dead_letters()] == [7, 20]
    assert len(temperatures(lab, "/data/bench")) == 18
    assert lab.database.intervals(stream) == [(1, 20)]
    ingest.wait_healthy()


def test_what_was_refused_and_is_sent_again(lab, central, ingest, rules):
    """The answer was lost: it is answered again, and neither stored nor kept again."""
    rules.forbid("reading", f"new.temperature >= {HOT}", WORDS)
    peer, stream = Peer(lab.client(central)), new_stream()
    assert "rejected" in peer.ask(stream, 1, hot(1), 1)
    rules.allow("reading")
    peer.ask(stream, 1, hot(1), 1)
    assert temperatures(lab, "/data/bench") == []
    assert len(lab.database.dead_letters()) == 1
    assert peer.batch(stream, 2, 1) == {"stored": [[stream, 2, 1]]}


@pytest.mark.parametrize("table", ["reading", "stream"])
def test_a_database_that_refuses_everything(lab, central, ingest, rules, table):
    """It is not the messages' fault: they wait, nothing becomes a dead letter, and health says so."""
    rules.forbid(table, "new.sensor IS NOT NULL" if table == "reading" else "new.node <> ''", "closed")
    peer, device, stream = Peer(lab.client(central)), lab.client(central), new_stream()
    sent = peer.send(stream, 1, senml(readings(1, 3)), 3)
    device.publish("/data/oven", '{"temperature":1}')
    eventually(lambda: any("closed" in e.get("error", "") for e in ingest.events()), "it says why")
    eventually(lambda: ingest.health()[0] != 0, "health says so")
    assert lab.database.dead_letters() == [] and peer.answers() == []
    rules.allow(table)
    assert peer.answer(sent) == {"stored": [[stream, 1, 3]]}
    eventually(lambda: temperatures(lab, "/data/oven") == [1], "the plain message is stored")
    ingest.wait_healthy()
    assert lab.database.dead_letters() == []


def test_a_stream_that_the_database_refuses(lab, central, ingest, rules):
    """Nor can its loss be noted: the batch is a dead letter alone, others are stored."""
    rules.forbid("lost", "new.count = 41", WORDS)
    peer, bad, good = Peer(lab.client(central)), new_stream(), new_stream()
    ingest.freeze()
    peer.send(bad, 42, senml(readings(42, 2)), 2, low=42)
    second = peer.send(good, 1, senml(readings(1, 2)), 2)
    ingest.thaw()
    assert peer.answer(second) == {"stored": [[good, 1, 2]]}
    eventually(lambda: numbers(peer, "rejected") == [42, 43], "it is answered")
    letters = lab.database.dead_letters()
    # Our own publishers' form is kept as numbers: a dead letter is a reading.
    assert letters and all(WORDS in letter["reason"] for letter in letters)
    assert lab.database.lost_count(bad) == 0
    assert peer.ask(bad, 44, b"", 0, low=42) == {}
    ingest.wait_healthy()


def test_a_dead_letter_that_is_refused_as_well(lab, central, ingest, rules):
    """Others are stored and acknowledged, the log says it once, and it is kept once it may be."""
    rules.forbid("reading", f"new.temperature >= {HOT}", WORDS)
    rules.forbid("dead_letter", "new.reason LIKE '%too hot%'", "no letters")
    peer, device, stream = Peer(lab.client(central)), lab.client(central), new_stream()

    def refused():
        return sum("no letters" in e.get("error", "") for e in ingest.events())

    peer.send(stream, 1, hot(1), 1)
    eventually(lambda: refused() == 1, "it says why")
    for number in range(3):
        peer.send(stream, 1, hot(1), 1)  # as its publisher does while nobody answers
        device.publish("/data/oven", json.dumps({"temperature": HOT + number}))
        device.publish("/data/oven", json.dumps({"temperature": number}))
        other = new_stream()
        assert peer.batch(other, 1, 2) == {"stored": [[other, 1, 2]]}
    eventually(lambda: temperatures(lab, "/data/oven") == [0, 1, 2], "the other plain messages are stored")
    assert refused() == 1 and lab.database.dead_letters() == []
    assert ingest.health()[0] != 0 and "dead letter" in ingest.health()[1]
    # It has kept nothing back: a stop is clean, and what was stored does not come again.
    ingest.stop()
    told = [e for e in ingest.events() if "messages" in e and "dead letter" in e["msg"]]
    assert len(told) == 2 and sum(int(e["messages"]) for e in told) >= 7, told
    ingest.start()
    rules.allow("dead_letter")
    assert [entry[:3] for entry in peer.ask(stream, 1, hot(1), 1)["rejected"]] == [[stream, 1, 1]]
    assert len(lab.database.dead_letters()) == 1 and temperatures(lab, "/data/oven") == [0, 1, 2]
    ingest.wait_healthy()
