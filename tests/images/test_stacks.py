"""Stacks of Compose on the platforms of the boards."""

import socket

import checks
from conftest import PLATFORMS
from elf import MACHINES, Elf
from stack import REPO

from harness.database import Database
from harness.ledger import Ledger
from harness.wait import eventually

READINGS = 200

# The sampler's record goes to a volume that its user may write; an emulator needs memory.
NODE = """
services:
  mosquitto: {mem_limit: 256m}
  publisher: {mem_limit: 256m}
  sampler:
    mem_limit: 256m
    environment: {LEDGER: /data/ledger}
    volumes: ["ledger:/data"]
volumes:
  ledger:
"""
BROKER = """
services:
  mosquitto: {mem_limit: 256m}
  ingest: {mem_limit: 256m}
  retention-pruner: {mem_limit: 256m}
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


def of_platform(wanted):
    """A platform that was pushed: the wanted one, or the only ones there are."""
    return wanted if wanted in PLATFORMS else PLATFORMS[0]


def program(stack, service, path, directory):
    """The program that a container runs."""
    target = directory / f"{service}-program"
    assert stack.copy(service, path, target)
    return Elf(target.read_bytes())


def test_readings_from_an_arm_v7_node_to_an_arm64_broker(new_stack, pulled, tmp_path):
    """Every accepted reading is stored once; all are healthy, confined, and stop when told."""
    node_platform, broker_platform = of_platform("linux/arm/v7"), of_platform("linux/arm64")
    for name in ("sampler", "publisher", "broker"):
        pulled(name, node_platform)
    for name in ("ingest", "retention-pruner", "broker", "tool"):
        pulled(name, broker_platform)
    (tmp_path / "node.yml").write_text(NODE, encoding="utf-8")
    (tmp_path / "broker.yml").write_text(BROKER, encoding="utf-8")
    port = free_port()
    broker = new_stack(
        "broker",
        "broker.yml",
        override=tmp_path / "broker.yml",
        MQTT_PORT=port,
        DOCKER_DEFAULT_PLATFORM=broker_platform,
    )
    node = new_stack(
        "node",
        "node.yml",
        override=tmp_path / "node.yml",
        MQTT_PORT=port,
        NODE_NAME="orangepi0",
        SENSORS=f"bench=sim@42,count={READINGS},climate=replay@/captures/am2302_1mhz_3samples.csv",
        PERIOD_MS=50,
        CAPTURES_DIR=REPO / "tests/data",
        DOCKER_DEFAULT_PLATFORM=node_platform,
    )
    broker.up()
    node.up()
    assert program(node, "sampler", "/usr/bin/sampler", tmp_path).machine == MACHINES[node_platform]
    assert program(broker, "ingest", "/usr/bin/ingest", tmp_path).machine == MACHINES[broker_platform]
    broker.all_healthy(180)
    node.all_healthy(180)
    for container in broker.containers() + node.containers():
        checks.confined(container)

    def ledger():
        assert node.copy("sampler", "/data/ledger", tmp_path / "ledger")
        return Ledger(tmp_path / "ledger")

    def sampled():
        return sum(sensor == "bench" for sensor, _, _ in ledger().readings.values()) == READINGS

    eventually(sampled, f"{READINGS} readings are sampled", 180)
    node.compose("stop", "--timeout", "2", "sampler")
    accepted = ledger().accepted
    eventually(
        lambda: int(broker.query("SELECT count(*) FROM reading")[0][0]) >= len(accepted),
        f"the {len(accepted)} accepted readings are stored",
        60,
    )
    # The engine kills what has not ended by itself within 2 s: exit code 137.
    node.compose("stop", "--timeout", "2")
    broker.compose("stop", "--timeout", "2")
    codes = {c.service: c.state["State"]["ExitCode"] for c in broker.containers() + node.containers()}
    assert set(codes.values()) == {0}, codes

    assert broker.copy("ingest", "/data/broker.db", tmp_path / "broker.db")
    database = Database(tmp_path / "broker.db")
    stored = database.rows()
    known = ledger()
    assert stored - known.rows() == {}, "stored twice, or never sampled"
    assert known.rows(known.accepted) - stored == {}, "accepted and missing"
    print(f"\n{node_platform} to {broker_platform}: {stored.total()} readings stored, each once")
