"""One broker, one store: a second database is refused until the first one leaves."""

import json

import pytest

from harness import Peer, eventually
from harness.database import Database
from harness.peer import new_stream, readings, senml

CLAIMS = "ingest/store/#"


class Store:
    """A database of its own and ingests for it, SQLite or PostgreSQL."""

    def __init__(self, lab, kind, number):
        self.lab, self.kind = lab, kind
        self.path = lab.directory / f"store-{number}.db"
        if kind == "postgresql":
            lab.use_postgres()

    def ingest(self, broker, healthy=True, **settings):
        settings = {"MQTT_URL": broker.url(), **settings}
        if self.kind == "postgresql":
            url = self.lab.postgres.url()
            return self.lab.service("ingest-postgres", healthy=healthy, STORE_URL=url, **settings)
        return self.lab.service("ingest", healthy=healthy, STORE_URL=f"sqlite://{self.path}", **settings)

    @property
    def database(self):
        return self.lab.database if self.kind == "postgresql" else Database(self.path)


KINDS = [("sqlite", "sqlite"), ("sqlite", "postgresql"), ("postgresql", "sqlite")]


@pytest.fixture(params=KINDS, ids=["-".join(kinds) for kinds in KINDS])
def stores(lab, request):
    return [Store(lab, kind, number) for number, kind in enumerate(request.param)]


def refused(service):
    """It runs, is not healthy, and says in one line who is there and what to do."""
    eventually(lambda: "another store takes" in service.health()[1], f"{service.name} gives way")
    lines = [e for e in service.events() if e["msg"].startswith("another store takes")]
    assert len(lines) == 1 and lines[0]["level"] == "error", lines
    assert "stop one of them" in lines[0]["msg"] and "TOPIC_PREFIX" in lines[0]["msg"]
    return lines[0]


def send(peer, count=40):
    """So many batches of one stream and plain messages; all are answered as stored."""
    stream = new_stream()
    for first in range(1, count + 1):
        assert "stored" in peer.ask(stream, first, senml(readings(first, 1)), 1)
    return count


def test_the_second_store_takes_nothing(lab, central, stores):
    """All batches go to the first; the second takes over by itself when that stops."""
    first, second = stores
    ours = first.ingest(central)
    other = second.ingest(central, healthy=False)
    line = refused(other)
    assert line["other_instance"] == ours.settings["INSTANCE"]
    peer = Peer(lab.client(central))
    sent = send(peer)
    lab.client(central).publish("/data/thermometer", json.dumps({"temperature": 7}))
    eventually(lambda: first.database.count() == sent + 1, "the first has all of it")
    assert second.database.count() == 0
    assert ours.health()[0] == 0

    ours.stop()
    other.wait_healthy()
    again = send(peer)
    assert (first.database.count(), second.database.count()) == (sent + 1, again)
    # And back: the first one is the second now.
    refused(ours.start(healthy=False))


def test_the_first_is_killed(lab, central, stores):
    """Its will says so, and the second takes over."""
    first, second = stores
    ours = first.ingest(central)
    other = second.ingest(central, healthy=False)
    refused(other)
    ours.kill()
    other.wait_healthy()
    sent = send(Peer(lab.client(central)))
    assert (first.database.count(), second.database.count()) == (0, sent)


def test_the_broker_restarts(lab, stores):
    """One of the two goes on, the other waits, whoever is back first."""
    broker = lab.broker(persistence=True)
    first, second = stores
    services = [first.ingest(broker), second.ingest(broker, healthy=False)]
    refused(services[1])
    for _ in range(3):
        broker.kill()
        broker.start()
        eventually(
            lambda: sorted(code for code, _ in (s.health() for s in services)) == [0, 1],
            "one takes what arrives",
        )
        before = first.database.count(), second.database.count()
        sent = send(Peer(lab.client(broker)), 10)
        after = first.database.count(), second.database.count()
        assert sorted(b - a for a, b in zip(before, after)) == [0, sent]


def test_what_is_left_of_a_dead_store_does_not_block(lab):
    """Broker and ingest die together: nobody's will is run, the claim stays, and is cleared."""
    broker = lab.broker(persistence=True)
    dead = Store(lab, "sqlite", 0).ingest(broker)
    client = lab.client(broker)
    client.subscribe(CLAIMS)
    eventually(lambda: [m for m in client.messages() if m.payload], "its claim")
    saved = broker.directory / "mosquitto.db"
    eventually(lambda: saved.exists() and b"ingest/store/" in saved.read_bytes(), "the broker has saved it")
    broker.kill()
    dead.kill()
    broker.start()
    other = Store(lab, "sqlite", 1)
    ingest = other.ingest(broker)
    assert [e for e in ingest.events() if "does not answer" in e["msg"]]
    sent = send(Peer(lab.client(broker)), 10)
    assert other.database.count() == sent


def test_replicas_of_one_store_do_not_hinder_each_other(lab, central):
    """Three replicas are healthy; a stranger waits until the last of them has stopped."""
    store = Store(lab, "sqlite", 0)
    replicas = [store.ingest(central) for _ in range(3)]
    stranger = Store(lab, "sqlite", 1)
    other = stranger.ingest(central, healthy=False)
    refused(other)
    peer = Peer(lab.client(central))
    sent = 0
    for replica in replicas:
        sent += send(peer, 10)
        assert stranger.database.count() == 0
        replica.stop()
    other.wait_healthy()
    assert store.database.count() == sent


def test_another_prefix_is_another_place(lab, central):
    """Two stores with different TOPIC_PREFIX share a broker; each has its plain messages."""
    stores = [Store(lab, "sqlite", number) for number in range(2)]
    for store, prefix in zip(stores, ("/data", "/other")):
        store.ingest(central, TOPIC_PREFIX=prefix)
    device = lab.client(central)
    for store, prefix in zip(stores, ("/data", "/other")):

        def stored():
            device.publish(f"{prefix}/thermometer", json.dumps({"temperature": 7}))
            return store.database.count() > 2

        eventually(stored, f"plain messages of {prefix} are stored")
    assert all(topic == "/data/thermometer" for (topic,) in stores[0].database.query("SELECT topic FROM sensor"))


def test_two_stores_of_one_instance(lab, central):
    """The same INSTANCE, as on one host: they do not throw each other out of the broker."""
    stores = [Store(lab, "sqlite", number) for number in range(2)]
    stores[0].ingest(central, INSTANCE="board")
    other = stores[1].ingest(central, healthy=False, INSTANCE="board")
    refused(other)
    sent = send(Peer(lab.client(central)), 10)
    assert (stores[0].database.count(), stores[1].database.count()) == (sent, 0)
    assert not [e for s in lab.services for e in s.events() if "another client" in e["msg"]]


def test_a_frozen_store_gives_way_when_it_wakes(lab, central):
    """It could not answer in time, another has taken over: it learns that and waits."""
    stores = [Store(lab, "sqlite", number) for number in range(2)]
    first = stores[0].ingest(central)
    first.freeze()
    second = stores[1].ingest(central)
    first.thaw()
    refused(first)
    assert second.health()[0] == 0
