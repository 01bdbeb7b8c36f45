"""Content that cannot be read: kept in dead_letter, answered finally, never in the way."""

import pytest

from harness import Database, Peer, eventually
from harness.peer import new_stream, reading, readings, senml

pytestmark = pytest.mark.stores

TOPIC = "/data/bench/batch"
LIMIT = 8192


@pytest.fixture
def peer(lab, central):
    lab.ingest(central, MAX_MESSAGE_BYTES=LIMIT)
    return Peer(lab.client(central))


def is_final_refusal(answer, stream, first, count):
    """Rejected by its numbers, or as a message whose identity could not be read."""
    if "error" in answer:
        return True
    return [entry[:3] for entry in answer.get("rejected", [])] == [[stream, first, count]]


def one_letter(lab):
    letters = lab.database.dead_letters()
    assert len(letters) == 1, letters
    return letters[0]


GOOD = senml(readings(1, 2))

UNREADABLE = {
    "broken JSON": GOOD[:-5],
    "not an array": b'{"n":"temperature","v":1}',
    "not UTF-8": GOOD.replace(b"climate", b"clim\xff\xfee"),
    "empty": b"",
    "nested": b"[" * 4000 + b"]" * 4000,
    "binary": bytes(range(256)) * 4,
    "oversized": senml(readings(1, 2)) + b" " * LIMIT,
}


def test_unreadable_batches_are_kept_and_refused(lab, peer):
    """dead_letter has topic, reason and payload; the answer is final; the next batch is stored."""
    for number, (name, payload) in enumerate(UNREADABLE.items(), 1):
        stream = new_stream()
        answer = peer.ask(stream, 1, payload, 2)
        assert is_final_refusal(answer, stream, 1, 2), (name, answer)
        letters = lab.database.dead_letters()
        assert len(letters) == number, (name, letters)
        letter = letters[-1]
        assert letter["topic"] == TOPIC and letter["reason"], (name, letter)
        assert letter["bytes"] == len(payload), (name, letter)
        # Of a payload above the limit the beginning is kept.
        assert letter["payload"] == payload[:LIMIT], (name, letter)
        assert lab.database.count() == number - 1, name
        assert "stored" in peer.batch(stream, 3, 1), name


def test_a_count_that_does_not_match(lab, peer):
    """A payload of two readings with another count is refused whole and kept."""
    for number, count in enumerate([1, 3, 10000], 1):
        stream = new_stream()
        answer = peer.ask(stream, 1, GOOD, count)
        assert is_final_refusal(answer, stream, 1, count), answer
        letters = lab.database.dead_letters()
        assert len(letters) == number
        assert (letters[-1]["topic"], letters[-1]["payload"]) == (TOPIC, GOOD)
    assert lab.database.count() == 0


def test_one_bad_reading_among_good_ones(lab, peer):
    """The good are stored, the bad is kept, and all three numbers are consumed."""
    stream = new_stream()
    bad = [{"bn": "climate/", "bt": 1732312347, "n": "temperature", "u": "Cel", "v": "warm"}]
    answer = peer.ask(stream, 1, senml([reading(1), bad, reading(3)]), 3)
    answered = set()
    for _, first, count, *_ in answer.get("stored", []) + answer.get("rejected", []):
        answered.update(range(first, first + count))
    assert answered == {1, 2, 3} and "later" not in answer
    assert len(lab.database.readings()) == 2
    letter = one_letter(lab)
    assert letter["topic"] == TOPIC and b"warm" in letter["payload"]
    # Sent again it is answered again, and neither stored nor kept a second time.
    peer.ask(stream, 1, senml([reading(1), bad, reading(3)]), 3)
    assert len(lab.database.readings()) == 2
    assert len(lab.database.dead_letters()) == 1


FORGED = {
    "first 0": {"first": 0},
    "first -1": {"first": -1},
    "first not a number": {"first": "one"},
    "first beyond 2^53": {"first": 2**53 + 1},
    "first near 2^63": {"first": 2**63 - 1},
    "first near 2^64": {"first": 2**64 - 1},
    "first beyond 2^64": {"first": 2**64 + 1},
    "first missing": {"first": None},
    "count -1": {"count": -1},
    "count beyond the limit": {"count": 10001},
    "count missing": {"count": None},
    "count 0 without low": {"count": 0},
    "stream too short": {"stream": "ab"},
    "stream not hexadecimal": {"stream": "z" * 32},
    "stream missing": {"stream": None},
    "version missing": {"v": None},
    "low not a number": {"low": "x"},
    "low 0": {"low": 0},
    "clock unknown": {"clock": "sundial"},
}


def test_forged_identities_are_refused_and_survived(lab, peer):
    """Each forged message gets one final answer and nothing is stored; ingest goes on."""
    for name, forged in FORGED.items():
        message = {"stream": new_stream(), "first": 1, "count": 2, "v": "1", **forged}
        stream, first, count = (message.pop(key) for key in ("stream", "first", "count"))
        answer = peer.ask(stream, first, GOOD, count, **message)
        assert "error" in answer or "rejected" in answer, (name, answer)
        assert "stored" not in answer, (name, answer)
    assert lab.database.readings() == []
    assert len(lab.database.dead_letters()) == len(FORGED)
    assert "stored" in peer.batch(new_stream(), 1, 2)


def test_a_chattering_device(lab, central):
    """It fills its own share only, and the log has one line for its topic and reason."""
    ingest = lab.ingest(central, DEAD_LETTERS_MAX=50)
    peer = Peer(lab.client(central))
    device = lab.client(central)

    def taken():
        device.publish("/data/quiet", "not a reading")
        return any(letter["topic"] == "/data/quiet" for letter in lab.database.dead_letters())

    eventually(taken, "plain messages are taken")
    for number in range(1, 4):
        peer.ask(new_stream(), 1, b"broken", 1)
    for number in range(110):
        device.post("/data/chatter", f"chatter {number}")

    def last_kept():
        return any(letter["payload"] == b"chatter 109" for letter in lab.database.dead_letters())

    eventually(last_kept, "the last of the chatter is kept")
    letters = lab.database.dead_letters()
    assert len(letters) == 50
    assert sum(letter["topic"] == TOPIC for letter in letters) == 3
    assert any(letter["topic"] == "/data/quiet" for letter in letters)
    lines = [e for e in ingest.events() if e.get("topic") == "/data/chatter"]
    assert len(lines) == 1 and lines[0]["reason"] and int(lines[0]["letters"]) >= 1, lines


def test_a_run_that_ends_beyond_the_largest_number(lab, peer):
    """first 2^53 with two readings would pass the end of the numbers: refused, survived."""
    stream = new_stream()
    answer = peer.ask(stream, 2**53, GOOD, 2)
    assert "stored" not in answer
    assert lab.database.readings() == []
    assert "stored" in peer.batch(new_stream(), 1, 2)


def test_a_jump_close_to_the_largest_number_is_one_gap(lab, peer):
    """A stream that jumps by 2^52 costs two intervals, no memory and no time."""
    stream = new_stream()
    peer.batch(stream, 1, 1)
    far = 2**52
    assert peer.ask(stream, far, GOOD, 2)["stored"] == [[stream, far, 2]]
    assert lab.database.lost_count(stream) == 0
    peer.send(stream, far + 2, b"", 0, low=far + 2)
    eventually(lambda: lab.database.lost_count(stream) == far - 2, "the gap is closed")


def test_a_message_without_any_property(lab, central, peer):
    """A plain publish on a batch topic is kept with its payload; nobody can be answered."""
    peer.client.publish(TOPIC, GOOD)
    assert "stored" in peer.batch(new_stream(), 1, 1)
    letter = one_letter(lab)
    assert (letter["topic"], letter["payload"]) == (TOPIC, GOOD)


def test_a_topic_of_any_length(lab, central, peer):
    """Of a longer one the first 1,024 bytes are kept, as whole characters; the others are as they are."""
    device = lab.client(central)

    def kept():
        return {letter["topic"] for letter in lab.database.dead_letters()}

    def taken():
        device.publish("/data/probe", "no reading")
        return "/data/probe" in kept()

    eventually(taken, "plain messages are taken")
    topics = {"/data/" + letter * (n // len(letter.encode())) for letter in "aé€😀" for n in (1018, 1022, 65000)}
    for topic in topics:
        device.publish(topic, "no reading")
        device.publish(f"{topic}/batch", "no batch")
    every = {topic + end for topic in topics for end in ("", "/batch")}
    cut = {topic.encode()[:1024].decode(errors="ignore") for topic in every}
    eventually(lambda: kept() == {"/data/probe"} | cut, "all are kept")
    assert "stored" in peer.batch(new_stream(), 1, 1)


def test_the_publisher_lets_refused_readings_go(lab, local, central):
    """Readings that the centre can never read leave the outbox and block nothing behind them."""
    publisher = lab.publisher(local, central, SPILL_AFTER_MS=50)
    central.kill()
    lab.sampler(local, "refused=sim@42,count=50", PERIOD_MS=1)
    outbox = Database(publisher.outbox_path)
    eventually(lambda: outbox.count() == 50, "50 readings wait in the outbox")
    central.start()
    # In one batch they are larger than this ingest reads.
    lab.ingest(central, MAX_MESSAGE_BYTES=1024)
    # It is sent again after 3, 9, 21 and 45 s, until somebody is there to read it.
    eventually(lambda: lab.database.dead_letters(), "the refused batch is kept", 60)
    eventually(lambda: outbox.count() == 0, "the outbox lets them go")
    lab.sampler(local, "fresh=sim@43,count=5", PERIOD_MS=100)
    eventually(
        lambda: sum(sensor == "fresh" for sensor, _, _ in lab.database.readings()) == 5,
        "later readings are stored",
    )
