"""Deflated batches: offered, taken, stored as others are; refused without harm; taken back."""

import re
import secrets
import zlib

import pytest

from harness import Centre, Database, Peer, eventually
from harness.oracle import all_accepted, stored_exactly_once
from harness.peer import new_stream, readings, senml
from harness.usage import peak_rss_kb

COUNT = 300


def send_encoded(peer, stream, first, payload, count):
    """One message that says that it is deflated; returns its correlation data."""
    return peer.send(stream, first, payload, count, v="2", encoding="deflate")


def ask_encoded(peer, stream, first, payload, count):
    return peer.answer(send_encoded(peer, stream, first, payload, count))


def deflated(first, count):
    return zlib.compress(senml(readings(first, count)))


@pytest.fixture
def peer(lab, central):
    """A hand-made publisher of node `bench`; one ingest runs."""
    lab.ingest(central)
    return Peer(lab.client(central))


@pytest.mark.stores
def test_an_offer_is_taken_and_what_is_encoded_is_stored(lab, peer):
    """`takes` answers an offer; an encoded batch is stored, and answered by nothing."""
    stream = new_stream()
    assert peer.batch(stream, 1, 3) == {"stored": [[stream, 1, 3]]}
    taken = {"stored": [[stream, 4, 3]], "takes": ["deflate"]}
    assert peer.batch(stream, 4, 3, offer="deflate") == taken
    assert peer.batch(stream, 7, 3, offer="br") == {"stored": [[stream, 7, 3]]}
    assert ask_encoded(peer, stream, 10, deflated(10, 50), 50) is None
    # Again, and around what is stored.
    assert ask_encoded(peer, stream, 1, deflated(1, 70), 70) is None
    temperatures = sorted(values["temperature"] for _, _, values in lab.database.readings())
    assert temperatures == [20 + seq / 1000 for seq in range(1, 71)]
    assert lab.database.dead_letters() == []


def test_an_unknown_encoding_is_kept_by_its_sender(lab, peer):
    """`later`: nothing is stored, nothing is lost."""
    stream = new_stream()
    answer = peer.ask(stream, 1, b"?", 2, v="2", encoding="br")
    assert [entry[:3] for entry in answer["later"]] == [[stream, 1, 2]]
    assert peer.batch(stream, 1, 2)["stored"] == [[stream, 1, 2]]
    assert lab.database.dead_letters() == []


def damaged():
    whole = deflated(1, 2)
    dictionary = zlib.compressobj(zdict=b"temperature")
    return {
        "cut short": (whole[:-1], "the deflated payload is cut short"),
        "damaged": (whole[:20] + b"\xff" + whole[21:], "the payload is not deflated, or damaged"),
        "not deflated": (senml(readings(1, 2)), "the payload is not deflated, or damaged"),
        "followed": (whole + b"\n", "something follows the deflated payload"),
        "dictionary": (
            dictionary.compress(senml(readings(1, 2))) + dictionary.flush(),
            "the deflated payload needs a dictionary",
        ),
    }


@pytest.mark.stores
@pytest.mark.parametrize("how", damaged())
def test_what_cannot_be_inflated_is_a_dead_letter(lab, peer, how):
    """It is kept as it came, and its numbers are used up: what comes behind it is stored."""
    stream = new_stream()
    payload, reason = damaged()[how]
    assert ask_encoded(peer, stream, 1, payload, 2) == {"rejected": [[stream, 1, 2, reason]]}
    assert ask_encoded(peer, stream, 3, deflated(3, 2), 2) is None
    (letter,) = lab.database.dead_letters()
    assert letter["reason"] == reason
    assert bytes(letter["payload"]) == payload


def test_a_reading_that_cannot_be_stored_is_a_dead_letter_that_can_be_read(lab, peer):
    """One bad reading of an encoded batch: its text is kept, the others are stored."""
    stream = new_stream()
    pack = readings(1, 3)
    pack[1][0]["v"] = "hot"
    answer = ask_encoded(peer, stream, 1, zlib.compress(senml(pack)), 3)
    assert answer["stored"] == [[stream, 1, 1], [stream, 3, 1]]
    (letter,) = lab.database.dead_letters()
    assert b'"v":"hot"' in bytes(letter["payload"]).replace(b" ", b"")


def test_a_bomb_costs_no_memory(lab, central):
    """A megabyte that would become a gigabyte: a dead letter; ingest stays as small as it is."""
    service = lab.ingest(central)
    peer = Peer(lab.client(central))
    stream = new_stream()
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()
    assert ask_encoded(peer, stream, 1, deflated(1, 100), 100) is None
    before = peak_rss_kb(service.pid)
    reason = "larger than MAX_MESSAGE_BYTES when inflated"
    for first in (101, 102, 103):
        answer = ask_encoded(peer, stream, first, bomb, 1)
        assert answer == {"rejected": [[stream, first, 1, reason]]}
    # Each is held as it came, in the bus and in the queue, and once more by the sanitizer.
    assert peak_rss_kb(service.pid) - before < 64 << 10
    assert len(lab.database.dead_letters()) == 3
    assert ask_encoded(peer, stream, 104, deflated(104, 2), 2) is None


def test_plain_messages_are_not_inflated(lab, central):
    """A device's message is what it is, whatever it says of itself."""
    lab.ingest(central)
    peer = Peer(lab.client(central))
    peer.topic = "/data/device"
    send_encoded(peer, new_stream(), 1, zlib.compress(b'{"temperature":20}'), 1)
    letters = eventually(
        lambda: [x for x in lab.database.dead_letters() if x["topic"] == "/data/device"], "a letter"
    )
    assert bytes(letters[0]["payload"]) == zlib.compress(b'{"temperature":20}')


# ---- the publisher's side ----


def flow(lab, local, central, count=COUNT, **settings):
    publisher = lab.publisher(local, central, node="pi", COMPRESS="deflate", **settings)
    sampler = lab.sampler(local, f"bench=sim@42,count={count}", PERIOD_MS=2)
    return publisher, sampler


def encoded(centre):
    return [batch for batch in centre.batches if batch.encoding is not None]


def test_publisher_and_ingest_agree(lab, local, central):
    """COMPRESS=deflate: offered once, then batches are encoded; every reading once."""
    spy = Centre(lab.client(central), policy=lambda batch: None)
    lab.ingest(central)
    _, sampler = flow(lab, local, central)
    stored_exactly_once(lab, sampler, COUNT)
    assert spy.batches[0].user["offer"] == "deflate" and spy.batches[0].encoding is None
    assert encoded(spy)
    for batch in encoded(spy):
        assert batch.encoding == "deflate" and batch.user["v"] == "2"
        assert batch.content_type is None and "offer" not in batch.user
        assert batch.readings() == batch.count
        assert len(batch.payload) < len(batch.text())
    assert lab.database.dead_letters() == []


def test_a_backlog_is_encoded_as_well(lab, local, central):
    """What waited in the outbox while the centre was silent goes out deflated."""
    centre = Centre(lab.client(central), policy=lambda batch: None)
    publisher, sampler = flow(lab, local, central, SPILL_AFTER_MS=100, BATCH_SIZE=20)
    all_accepted(sampler, COUNT)
    centre.policy = lambda batch: {**centre.stored(batch), "takes": ["deflate"]}
    eventually(lambda: centre.answered == set(range(1, COUNT + 1)), "each number is stored", 60)
    eventually(lambda: Database(publisher.outbox_path).count() == 0, "the outbox is empty")
    assert encoded(centre)
    assert all(batch.readings() == batch.count for batch in centre.batches)


def test_a_centre_that_never_takes_it_gets_none(lab, local, central):
    """An ingest of before answers without `takes`: everything goes out as it is, and is offered."""
    centre = Centre(lab.client(central))
    _, sampler = flow(lab, local, central)
    all_accepted(sampler, COUNT)
    assert centre.batches and not encoded(centre)
    assert all(batch.user["v"] == "1" and batch.user["offer"] == "deflate" for batch in centre.batches)


def test_switched_off_nothing_is_offered(lab, local, central):
    """COMPRESS=off, also where the centre would take it."""
    centre = Centre(lab.client(central))
    centre.policy = lambda batch: {**centre.stored(batch), "takes": ["deflate"]}
    lab.publisher(local, central, node="pi", COMPRESS="off")
    sampler = lab.sampler(local, f"bench=sim@42,count={COUNT}", PERIOD_MS=2)
    all_accepted(sampler, COUNT)
    assert not encoded(centre)
    assert not any("offer" in batch.user for batch in centre.batches)


@pytest.mark.parametrize("spill_after_ms", [100, 60000])
def test_a_centre_that_is_set_back_gets_the_same_readings_as_they_are(
    lab, local, central, spill_after_ms
):
    """`later` to an encoded batch: the stream is not held up, and nothing encoded follows."""
    centre = Centre(lab.client(central))
    old = []

    def policy(batch):
        if batch.encoding is not None and (old or batch.first > COUNT // 2):
            old.append(batch)
            return {"later": [[batch.stream, batch.first, batch.count, "contract version is not 1"]]}
        return {**centre.stored(batch), **({} if old else {"takes": ["deflate"]})}

    centre.policy = policy
    publisher, sampler = flow(lab, local, central, SPILL_AFTER_MS=spill_after_ms)
    all_accepted(sampler, COUNT)
    eventually(lambda: centre.answered == set(range(1, COUNT + 1)), "each number is stored")
    assert old
    assert "does not take a stream now" not in publisher.stderr(), "it was not parked"
    postponed = set().union(*(batch.numbers for batch in old))
    plain = [batch for batch in centre.batches if batch.encoding is None]
    assert postponed <= set().union(*(batch.numbers for batch in plain))
    assert len(re.findall("postpones a deflated batch", publisher.stderr())) == 1
    assert "offer" not in centre.batches[-1].user, "it is asked again later only"


def test_empty_answers_store_what_was_encoded(lab, local, central):
    """An empty answer with the message's correlation data; one with other data says nothing."""
    centre = Centre(lab.client(central))

    def policy(batch):
        if batch.encoding is None:
            return {**centre.stored(batch), "takes": ["deflate"]}
        right = batch.correlation
        batch.correlation = secrets.token_bytes(len(right))
        centre.reply(batch, "")
        batch.correlation = right
        centre.answered.update(batch.numbers)
        centre.reply(batch, "")
        return None

    centre.policy = policy
    _, sampler = flow(lab, local, central, SPILL_AFTER_MS=60000)
    all_accepted(sampler, COUNT)
    assert encoded(centre)
    numbers = [number for batch in centre.batches for number in batch.numbers]
    assert sorted(numbers) == list(range(1, COUNT + 1)), "none is sent again"
