"""Brokers that are away, refuse, or speak TLS."""

import pytest

from harness import Certificates, Ledger, Peer, eventually
from harness.broker import free_port
from harness.listener import Listener
from harness.peer import new_stream


class SlammingDoor(Listener):
    """Takes each connection and closes it at once; counts them."""

    def __init__(self, port):
        self.count = 0
        super().__init__(port, self._slam)

    def _slam(self, _connection):
        self.count += 1


def unhealthy_with_reason(service):
    code, reason = service.health()
    assert code == 1 and reason and len(reason.splitlines()) == 1, (code, reason)
    return reason


def start_of_each(lab, broker):
    """Each service; none waits for health."""
    return [
        lab.sampler(broker, "bench=sim@1", healthy=False),
        lab.publisher(broker, broker, healthy=False),
        lab.ingest(broker, healthy=False),
        lab.pruner(broker, healthy=False),
    ]


def names_its_broker(service, broker):
    """Wait until its health answers with the broker that it cannot reach."""
    eventually(
        lambda: str(broker.port) in unhealthy_with_reason(service),
        f"{service.name} names the broker it cannot reach",
    )


@pytest.mark.tsan
def test_services_wait_for_a_broker_that_is_away(lab):
    """No broker: each service stays up, says unhealthy and why, and is well once it appears."""
    broker = lab.broker(start=False)
    services = start_of_each(lab, broker)
    for service in services:
        names_its_broker(service, broker)
    broker.start()
    for service in services:
        service.wait_healthy()


def test_attempts_back_off(lab):
    """A broker that closes every connection is tried again after longer and longer waits."""
    door = SlammingDoor(free_port())
    broker = lab.broker(start=False, port=door.port)
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False)
    eventually(lambda: door.count >= 5, "five attempts")
    events = [e for e in sampler.events() if e["msg"] == "waiting before the next attempt"]
    waits = [int(event["wait_ms"]) for event in events[:4]]
    for wait, nominal in zip(waits, [250, 500, 1000, 2000], strict=True):
        assert nominal * 3 // 4 <= wait < nominal * 5 // 4, waits
    unhealthy_with_reason(sampler)
    door.close()
    broker.start()
    sampler.wait_healthy()


def test_a_lost_broker_shows_and_heals(lab, central):
    """A broker that dies makes its client unhealthy; back again, batches are stored."""
    ingest = lab.ingest(central)
    central.kill()
    names_its_broker(ingest, central)
    central.start()
    ingest.wait_healthy()
    stream = new_stream()
    assert Peer(lab.client(central)).batch(stream, 1, 1)["stored"] == [[stream, 1, 1]]


def test_a_service_that_waits_stops_at_once(lab):
    """SIGTERM while no broker answers: clean and in time, like any other stop."""
    broker = lab.broker(start=False)
    for service in start_of_each(lab, broker):
        names_its_broker(service, broker)
        service.stop()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


# Not with ThreadSanitizer: it does not see how libcrypto, which is not built with it, orders its accesses.
def test_readings_travel_over_tls(lab, local, certificates):
    """mqtts:// with the right authority: every reading arrives, and idle TLS does not spin."""
    central = lab.broker(certificates=certificates)
    ingest = lab.ingest(central, TLS_CA_FILE=certificates.ca)
    lab.publisher(local, central, TLS_CA_FILE=certificates.ca)
    sampler = lab.sampler(local, "bench=sim@42,count=300", PERIOD_MS=1)
    eventually(lambda: len(lab.database.readings()) == 300, "300 readings are stored")
    eventually(lambda: lab.database.rows() == Ledger(sampler.ledger_path).rows(), "with their values")
    assert ingest.running()


def test_a_wrong_authority_is_refused(lab, tmp_path, certificates):
    """A broker whose certificate another authority signed is never spoken to."""
    broker = lab.broker(certificates=certificates)
    stranger = Certificates(tmp_path / "stranger")
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, TLS_CA_FILE=stranger.ca)
    eventually(
        lambda: any("cannot connect" in event.get("msg", "") for event in sampler.events()),
        "the attempt failed",
    )
    assert str(broker.port) in unhealthy_with_reason(sampler)
    assert not any(event.get("msg") == "connected" for event in sampler.events())


def test_an_authority_file_that_is_missing(lab, tmp_path, certificates):
    """mqtts:// with a TLS_CA_FILE that is not there never becomes a connection, and says why."""
    broker = lab.broker(certificates=certificates)
    missing = tmp_path / "none.pem"
    sampler = lab.sampler(broker, "bench=sim@1", start=False, TLS_CA_FILE=missing)
    sampler.spawn()

    def refused():
        if not sampler.running():
            assert sampler.child.returncode == 78
            assert str(missing) in sampler.stderr()
            return True
        return unhealthy_with_reason(sampler) and "cannot connect" in sampler.stderr()

    eventually(refused, "it refuses to go on, or to connect")
    assert not any(event.get("msg") == "connected" for event in sampler.events())


def test_user_and_password_in_the_url(lab, local):
    """A URL's user and password open a broker that wants them, special characters included."""
    central = lab.broker(users={"node": "p@ss:w/rd"})
    url = central.url("node", "p%40ss%3Aw%2Frd")
    lab.ingest(central, MQTT_URL=url)
    lab.publisher(local, central, UPSTREAM_URL=url)
    lab.sampler(local, "bench=sim@42,count=20", PERIOD_MS=1)
    eventually(lambda: len(lab.database.readings()) == 20, "20 readings are stored")


def test_a_wrong_password_is_named(lab):
    """A refused login is a reason in health and in the log, and the password is in neither."""
    central = lab.broker(users={"node": "right"})
    ingest = lab.ingest(central, healthy=False, MQTT_URL=central.url("node", "geheim"))
    reason = eventually(
        lambda: (lambda text: "refused" in text and text)(unhealthy_with_reason(ingest)),
        "health says that it was refused",
    )
    assert "geheim" not in reason + ingest.stderr()
