"""Answers that may take their time (ANSWER_WITHIN): nobody is alarmed, nothing is written, nothing is lost."""

import json
import threading

from harness import Centre, Database, Ledger, eventually

LOCAL = "the publisher does not answer, sending again"
CENTRAL = "the centre does not answer, sending again until it does"


class Gatherer:
    """A centre that keeps its answers back until a batch wants its own at once."""

    def __init__(self, client):
        self.kept = []
        self.lock = threading.Lock()
        self.centre = Centre(client, policy=self.policy)

    def policy(self, batch):
        with self.lock:
            self.kept.append(batch)
        if "wait" not in batch.user:
            self.release()

    def release(self):
        with self.lock:
            kept, self.kept = self.kept, []
        for batch in kept:
            self.centre.reply(batch, json.dumps(self.centre.stored(batch)))


def said(service, message):
    return [event for event in service.events() if event["msg"] == message]


def spilled(publisher):
    return Database(publisher.outbox_path).count()


def test_slow_answers_alarm_nobody(lab, local, central):
    """An answer that takes longer than a sampler waits for by itself: nothing is sent again or written."""
    gatherer = Gatherer(lab.client(central))
    publisher = lab.publisher(local, central, ANSWER_WITHIN="15s")
    sampler = lab.sampler(local, "bench=sim@42", PERIOD_MS=1000, STATS_PERIOD_S=1)
    eventually(lambda: len(gatherer.kept) >= 8, "batches wait for their answers", 60)
    waits = {batch.user.get("wait") for batch in gatherer.kept}
    assert waits == {"15000"}
    numbers = [number for batch in gatherer.centre.batches for number in batch.numbers]
    assert sorted(numbers) == list(range(1, len(numbers) + 1)), "each is sent once"
    gatherer.release()
    eventually(lambda: len(gatherer.kept) >= 1, "one more", 60)
    eventually(lambda: len(Ledger(sampler.ledger_path).accepted) >= 8, "they are accepted", 60)
    assert not said(publisher, CENTRAL) and not said(sampler, LOCAL)
    assert spilled(publisher) == 0


def test_a_ring_that_fills_is_answered_in_time(lab, local, central):
    """Readings come faster than the ring has room for until the answer: nothing is dropped."""
    gatherer = Gatherer(lab.client(central))
    publisher = lab.publisher(local, central, ANSWER_WITHIN="20s")
    sampler = lab.sampler(local, "bench=sim@42,count=300", PERIOD_MS=30, RING_SIZE=200)
    eventually(lambda: len(Ledger(sampler.ledger_path).readings) == 300, "all are sampled", 60)
    sampler.stop()
    ledger = Ledger(sampler.ledger_path)
    assert ledger.dropped == set() and len(ledger.accepted) == 300
    waits = [batch.user.get("wait") for batch in gatherer.centre.batches]
    assert "20000" in waits, "there is time while there is room"
    assert spilled(publisher) == 0


def test_a_ring_that_fills_without_a_centre_is_written_down(lab, local, central):
    """The same with a centre that does not answer: the outbox takes the readings before they are dropped."""
    Centre(lab.client(central), policy=lambda batch: None)
    publisher = lab.publisher(local, central, ANSWER_WITHIN="60s")
    sampler = lab.sampler(local, "bench=sim@42,count=300", PERIOD_MS=50, RING_SIZE=150)
    eventually(lambda: len(Ledger(sampler.ledger_path).readings) == 300, "all are sampled", 60)
    assert Ledger(sampler.ledger_path).dropped == set()
    assert spilled(publisher) >= 150


def test_a_sampler_that_stops_is_answered_at_once(lab, local, central):
    """What is under way when a sampler stops is wanted at once. It waits for that, for a second."""
    gatherer = Gatherer(lab.client(central))
    lab.publisher(local, central, ANSWER_WITHIN="60s")
    sampler = lab.sampler(local, "bench=sim@42", PERIOD_MS=100)
    eventually(lambda: sum(batch.count for batch in gatherer.kept) >= 10, "readings wait", 60)
    sampler.stop()
    eventually(lambda: not gatherer.kept, "the centre is asked for its answers", 30)


def test_an_ingest_that_restarts_costs_the_node_no_write(lab, local, central):
    """Ingest goes and comes again and again: the outbox's file stays as it is, and no line says that it was away."""
    ingest = lab.ingest(central)
    publisher = lab.publisher(local, central, ANSWER_WITHIN="10s")
    lab.sampler(local, "bench=sim@42", PERIOD_MS=100)
    eventually(lambda: lab.database.count() > 0, "readings flow")
    before = [path.read_bytes() for path in files_of(publisher)]
    for _ in range(3):
        ingest.restart()
        stored = lab.database.count()
        eventually(lambda: lab.database.count() > stored + 20, "readings flow again", 60)
    assert [path.read_bytes() for path in files_of(publisher)] == before
    assert not said(publisher, CENTRAL)


def files_of(publisher):
    path = publisher.outbox_path
    return sorted(path.parent.glob(path.name + "*"))
