"""Several ingests, several pruners: work is shared, and done once."""

import json

import pytest

from harness import Peer, eventually
from harness.peer import new_stream, readings, senml
from harness.oracle import stored_exactly_once

pytestmark = pytest.mark.stores


@pytest.mark.tsan
def test_three_ingests_store_each_reading_once(lab, local, central):
    """The shared subscription spreads batches over three replicas that write one file."""
    ingests = [lab.ingest(central, PRINT_READINGS=1) for _ in range(3)]
    lab.publisher(local, central)
    sampler = lab.sampler(local, "bench=sim@42,count=1500", PERIOD_MS=1)
    stored_exactly_once(lab, sampler, 1500)
    for ingest in ingests:
        ingest.stop()
        assert ingest.stdout(), f"{ingest.directory.name} took no batch"


def test_one_stream_through_three_ingests_at_once(lab, central):
    """Batches of one stream, sent twice and out of order, meet in three replicas: stored once."""
    for _ in range(3):
        lab.ingest(central)
    peer = Peer(lab.client(central))
    stream = new_stream()
    sent = [(first, 5) for first in range(1, 301, 5)]
    for first, count in sent[::-1] + sent[1::2] + sent:
        peer.send(stream, first, senml(readings(first, count)), count)

    def all_answered():
        ranges = [entry for answer in peer.answers() for entry in answer.get("stored", [])]
        numbers = {n for _, first, count in ranges for n in range(first, first + count)}
        return numbers == set(range(1, 301))

    eventually(all_answered, "every number is answered as stored")
    assert lab.database.count() == 300
    eventually(lambda: lab.database.intervals(stream) == [(1, 300)], "one interval")


def test_one_of_three_killed_in_the_middle(lab, local, central):
    """A dead member's share is lost in the broker and sent again to the others."""
    ingests = [lab.ingest(central) for _ in range(3)]
    lab.publisher(local, central, SPILL_AFTER_MS=300)
    sampler = lab.sampler(local, "bench=sim@42,count=1500", PERIOD_MS=1)
    eventually(lambda: lab.database.count() > 200, "readings flow")
    ingests[1].kill()
    stored_exactly_once(lab, sampler, 1500)


def plain(client, topic, value):
    client.publish(topic, json.dumps({"temperature": value}))


def test_plain_messages_are_taken_by_one(lab, central):
    """Three replicas, one lease: a plain message is stored once, not three times."""
    for _ in range(3):
        lab.ingest(central)
    eventually(lambda: lab.database.lease("plain"), "one replica holds the lease")
    device = lab.client(central)
    _until_stored(lab, device, 0)
    for value in range(1, 101):
        plain(device, "/data/thermometer", value)
    eventually(lambda: 100 in _temperatures(lab), "the last is stored")
    stored = [value for value in _temperatures(lab) if value > 0]
    assert stored == list(range(1, 101))


def _temperatures(lab):
    return sorted(values["temperature"] for _, _, values in lab.database.readings())


def _until_stored(lab, device, value):
    """Send until the holder has subscribed, which is after it has the lease."""

    def stored():
        plain(device, "/data/thermometer", value)
        return value in _temperatures(lab)

    eventually(stored, "plain messages are taken")


def test_the_lease_changes_hands(lab, central):
    """The holder dies: another takes the lease and plain messages are stored again."""
    ingests = {service.settings["INSTANCE"]: service for service in [lab.ingest(central), lab.ingest(central)]}
    holder, number = eventually(lambda: lab.database.lease("plain"), "a holder")
    device = lab.client(central)
    _until_stored(lab, device, 1)
    victims = [service for instance, service in ingests.items() if instance in holder]
    assert len(victims) == 1, holder
    victims[0].kill()
    _until_stored(lab, device, 2)
    successor = lab.database.lease("plain")
    assert successor[0] != holder and successor[1] > number


def test_the_lease_is_given_up_on_a_clean_stop(lab, central):
    """SIGTERM hands the lease over at once: its number grows and the other one holds it."""
    first = lab.ingest(central)
    holder, number = eventually(lambda: lab.database.lease("plain"), "a holder")
    lab.ingest(central)
    first.stop()

    def handed_over():
        lease = lab.database.lease("plain")
        return lease and lease[0] != holder and lease[1] > number

    eventually(handed_over, "the other one holds the lease")


def test_a_second_publisher_waits(lab, local, central):
    """Two publishers on one outbox: one is active, the other takes over when it dies."""
    lab.ingest(central)
    first = lab.publisher(local, central)
    second = lab.publisher(local, central, healthy=False, OUTBOX=first.outbox_path)
    sampler = lab.sampler(local, "bench=sim@42,count=1000", PERIOD_MS=2)
    eventually(lambda: lab.database.count() > 50, "readings flow")
    assert second.running()
    first.kill()
    second.wait_healthy()
    stored_exactly_once(lab, sampler, 1000)
