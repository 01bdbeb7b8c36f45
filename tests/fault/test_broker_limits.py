"""The brokers' queues and the memory of their containers fit each other: what is too much is
dropped and said, and the broker comes back with what it kept."""

import re

import pytest

from harness.broker import Broker
from harness.flood import flood, leave_session, peak_bytes
from harness.service import ROOT
from harness.wait import eventually

MIB = 1 << 20
STOP_S = 60
# A million messages are twenty short forms.
SHORT = 20
BROKER_CONF = ROOT / "compose/mosquitto/broker.conf"


def mem_limit(service):
    """Of a service in services.yml, or what all containers have."""
    text = (ROOT / "compose/services.yml").read_text(encoding="utf-8")
    shared = re.search(r"^  mem_limit: (\d+)m$", text, re.M)
    own = re.search(rf"^  {service}:\n(?:    .*\n)*?    mem_limit: (\d+)m$", text, re.M)
    return int((own or shared).group(1)) * MIB


def setting(path, name):
    return int(re.search(rf"^{name} (\d+)$", path.read_text(encoding="utf-8"), re.M).group(1))


def limited(tmp_path, conf, scale, **options):
    """A broker with the limits of a configuration, divided by scale."""
    path = ROOT / "compose/mosquitto" / conf
    broker = Broker(tmp_path / "broker", settings=path, **options)
    own = broker.directory / "mosquitto.conf"
    text = own.read_text(encoding="utf-8")
    for name in ("max_queued_messages", "max_queued_bytes"):
        text = re.sub(rf"^{name} .*$", f"{name} {setting(path, name) // scale}", text, flags=re.M)
    own.write_text(text, encoding="utf-8")
    broker.start()
    return broker, peak_bytes(broker.process.pid)


def fits(broker, base, service, scale):
    peak, limit = peak_bytes(broker.process.pid), mem_limit(service)
    assert peak - base < (limit - base) * 3 // 4 // scale, f"{peak} of {limit} bytes"


@pytest.mark.parametrize("size", [20, 100, 4000])
def test_a_million_messages_do_not_fell_the_broker(pytestconfig, tmp_path, size):
    scale = 1 if pytestconfig.getoption("--full") else SHORT
    broker, base = limited(tmp_path, "broker.conf", scale)
    try:
        leave_session(broker.port, "away", "/data/#")
        n = 1000000 // scale // (10 if size > 1000 else 1)
        flood(broker.port, "/data/greenhouse-17/temperature", b"x" * size, n)
        assert "being dropped for client away" in broker.process.stderr()
        fits(broker, base, "broker-mosquitto", scale)
        status, _ = broker.process.terminate(STOP_S)
        assert status == 0
        kept = (broker.directory / "mosquitto.db").stat().st_size
        count = setting(BROKER_CONF, "max_queued_messages") // scale
        room = setting(BROKER_CONF, "max_queued_bytes") // scale
        assert kept > min(count * size, room) // 2, "what fits is kept"
        broker.start()
        fits(broker, base, "broker-mosquitto", scale)
        flood(broker.port, "/data/greenhouse-17/temperature", b"x" * size, 1000)
        eventually(broker.process.running, "it runs")
        fits(broker, base, "broker-mosquitto", scale)
    finally:
        broker.close()


@pytest.mark.parametrize("size", [20, 4000, 250000])
def test_the_node_s_broker_stays_within_its_memory(tmp_path, size):
    broker, base = limited(tmp_path, "node.conf", 1)
    try:
        leave_session(broker.port, "away", "local/#")
        n = max(200, min(20000, 40 * MIB // size))
        flood(broker.port, "local/reading/climate", b"x" * size, n)
        assert "being dropped for client away" in broker.process.stderr()
        fits(broker, base, "node-mosquitto", 1)
    finally:
        broker.close()
