"""The publisher's side of common/README.md, seen by an ingest made by hand."""

import pytest

from harness import Centre, Database, Ledger, eventually
from harness.oracle import all_accepted

COUNT = 300


def flow(lab, local, central, count=COUNT, **settings):
    """A publisher of node `pi` and a sampler of `count` readings."""
    publisher = lab.publisher(local, central, node="pi", **settings)
    sampler = lab.sampler(local, f"bench=sim@42,count={count}", PERIOD_MS=2)
    return publisher, sampler


def test_batches_are_as_the_contract_says(lab, local, central):
    """Topic, properties and payload of each batch; every number once while all is answered."""
    centre = Centre(lab.client(central))
    _, sampler = flow(lab, local, central)
    ledger = all_accepted(sampler, COUNT)
    for batch in centre.batches:
        assert batch.topic == "/data/pi/batch"
        assert batch.content_type == "application/senml+json"
        assert batch.response.startswith("ack/pi/") and batch.response.count("/") == 2
        assert 0 < len(batch.correlation) <= 64
        assert batch.user["v"] == "1" and batch.stream == ledger.runs[0]
        assert batch.readings() == batch.count
        assert batch.low is None or 1 <= batch.low <= batch.first
    sent = [number for batch in centre.batches for number in batch.numbers]
    assert sorted(sent) == list(range(1, COUNT + 1))


def deaf_to_every_third(centre):
    """Never answer the first message with a number divisible by three; store the rest."""
    ignored = set()

    def policy(batch):
        for number in batch.numbers:
            if number % 3 == 0 and number not in ignored:
                ignored.update(batch.numbers)
                return None
        return centre.stored(batch)

    return policy


@pytest.mark.parametrize("spill_after_ms", [100, 60000])
def test_what_is_not_answered_is_sent_again(lab, local, central, spill_after_ms):
    """Lost batches between answered ones come again, from memory and from the outbox."""
    centre = Centre(lab.client(central))
    centre.policy = deaf_to_every_third(centre)
    publisher, sampler = flow(lab, local, central, SPILL_AFTER_MS=spill_after_ms)
    eventually(lambda: centre.answered == set(range(1, COUNT + 1)), "each number is answered", 60)
    all_accepted(sampler, COUNT)
    eventually(lambda: Database(publisher.outbox_path).count() == 0, "the outbox is empty")


def test_later_is_kept_and_sent_again(lab, local, central):
    """`later` is not final: the readings stay, in the outbox too, and come again."""
    centre = Centre(lab.client(central))
    refused = []

    def not_now(batch):
        refused.append(batch)
        return {"later": [[batch.stream, batch.first, batch.count, "not now"]]}

    centre.policy = not_now
    publisher, sampler = flow(lab, local, central, count=20, SPILL_AFTER_MS=100)
    all_accepted(sampler, 20)
    assert Database(publisher.outbox_path).count() == 20
    assert publisher.running() and refused
    # It backs off: 20 readings refused at once must not become a storm.
    assert len(refused) <= 20
    centre.policy = centre.stored
    eventually(lambda: centre.answered == set(range(1, 21)), "all come again", 60)
    eventually(lambda: Database(publisher.outbox_path).count() == 0, "the outbox is empty")


def test_rejected_and_unreadable_are_let_go(lab, local, central):
    """`rejected` and `error` are final: the sampler and the outbox let these readings go."""
    centre = Centre(lab.client(central))

    def no(batch):
        if batch.first % 2:
            return {"error": "cannot be read"}
        return {"rejected": [[batch.stream, batch.first, batch.count, "cannot be decoded"]]}

    centre.policy = no
    publisher, sampler = flow(lab, local, central, SPILL_AFTER_MS=60000)
    all_accepted(sampler, COUNT)
    assert Database(publisher.outbox_path).count() == 0
    numbers = [number for batch in centre.batches for number in batch.numbers]
    assert sorted(numbers) == list(range(1, COUNT + 1)), "none is sent again"


def test_answers_to_what_was_never_sent_are_ignored(lab, local, central):
    """Forged, malformed and foreign answers let nothing go that was not stored."""
    centre = Centre(lab.client(central), policy=lambda batch: None)
    publisher, sampler = flow(lab, local, central, count=20, SPILL_AFTER_MS=60000)
    batch = eventually(lambda: centre.batches, "a batch")[0]
    foreign = "0" * 32
    for payload in [
        f'{{"stored":[["{batch.stream}",1000,5]]}}',
        f'{{"stored":[["{foreign}",1,20]]}}',
        f'{{"stored":[["{batch.stream}",0,20]]}}',
        f'{{"stored":[["{batch.stream}",-1,9e99]]}}',
        f'{{"stored":[["{batch.stream}",18446744073709551615,2]]}}',
        '{"stored":"all"}',
        '{"stored":[[]]}',
        "[]",
        "",
        "\xff\xfe",
        '{"stored":[',
    ]:
        centre.reply(batch, payload)
    eventually(lambda: sum(b.count for b in centre.batches) >= 20, "all were sent once")
    assert Ledger(sampler.ledger_path).accepted == set()
    # What a forged answer had let go would never come again.
    centre.policy = centre.stored
    eventually(lambda: centre.answered == set(range(1, 21)), "all are sent again", 60)
    all_accepted(sampler, 20)
    assert publisher.running()


def closing(centre):
    """The messages without readings that it has got."""
    return [batch for batch in centre.batches if batch.count == 0]


def test_a_last_word_is_said_until_it_is_answered(lab, local, central):
    """A stopped sampler's closing `low`: again and again, over a SIGKILL, until the centre answers."""
    centre = Centre(lab.client(central))
    publisher, sampler = flow(lab, local, central, count=20, SPILL_AFTER_MS=100)
    all_accepted(sampler, 20)
    sampler.stop()
    eventually(lambda: len(closing(centre)) >= 2, "it is said twice")
    outbox = Database(publisher.outbox_path)
    eventually(lambda: outbox.query("SELECT low FROM stream WHERE closed") == [(21,)], "written")
    publisher.restart()
    said = len(closing(centre))
    last = eventually(lambda: closing(centre)[said:], "it is said after a restart")[0]
    assert last.low == 21 and last.stream == Ledger(sampler.ledger_path).runs[0]
    centre.reply(last, "{}")
    eventually(lambda: outbox.query("SELECT low FROM stream WHERE closed") == [], "it is forgotten")
    said = len(closing(centre))
    publisher.restart()
    probe = lab.sampler(local, "bench=sim@43,count=20", PERIOD_MS=2)
    all_accepted(probe, 20)
    assert len(closing(centre)) == said


def test_answers_of_a_later_version_are_understood(lab, local, central):
    """Members, kinds and elements that contract 1 does not know are passed over."""
    centre = Centre(lab.client(central))

    def policy(batch):
        answer = centre.stored(batch)
        answer["stored"][0] += ["an element more", 7]
        return {"v": 2, "merged": [[batch.stream, 1, 1]], **answer, "time": 1.5, "x": {"y": []}}

    centre.policy = policy
    publisher, sampler = flow(lab, local, central)
    all_accepted(sampler, COUNT)
    assert Database(publisher.outbox_path).count() == 0
