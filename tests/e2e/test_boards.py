"""node.yml and broker.yml as the paper's users run them, one project each."""

import time

import checks
import pytest
from stack import REPO, Stack, docker, free_port, image

from harness.database import Database
from harness.ledger import Ledger
from harness.wait import eventually

READINGS = 1000
PERIOD_MS = 20

# The sampler's record goes to a volume that its user may write.
LEDGER = """
services:
  sampler:
    environment: {LEDGER: /data/ledger}
    volumes: ["ledger:/data"]
volumes:
  ledger:
"""


def test_node_without_sensors_says_how():
    """One line that names the setting, an example and the file."""
    node = Stack("dewpoint-e2e-unset", "node.yml", NODE_NAME="orangepi0")
    result = node.compose("up", "--detach", check=False)
    assert result.returncode != 0
    message = result.stderr.strip()
    assert "\n" not in message
    for word in ("SENSORS", "climate=dht22@7", ".env"):
        assert word in message, message


def test_bad_setting_stops_a_single_container():
    """docker run as in the paper: exit 78 and one line with variable and value."""
    settings = ["-e", "NODE_NAME=a/b", "-e", "UPSTREAM_URL=mqtt://192.0.2.1"]
    result = docker("run", "--rm", *settings, image("publisher"), check=False)
    assert result.returncode == 78
    assert "NODE_NAME" in result.stderr and "a/b" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def boards(new_stack, new_identities, tmp_path_factory):
    """A broker stack and a node stack that meets it through the published port, provisioned."""
    override = tmp_path_factory.mktemp("node") / "ledger.yml"
    override.write_text(LEDGER, encoding="utf-8")
    port = free_port()
    identities = new_identities("boards", nodes=["orangepi0"])
    broker = new_stack("broker", "broker.yml", MQTTS_PORT=port, **identities.broker())
    node = new_stack(
        "node",
        "node.yml",
        override=override,
        **identities.node("orangepi0", port),
        SENSORS=f"bench=sim@42,count={READINGS},climate=replay@/captures/am2302_1mhz.csv",
        PERIOD_MS=PERIOD_MS,
        CAPTURES_DIR=REPO / "tests/data",
    )
    return broker, node


def read_ledger(node, directory):
    path = directory / "ledger"
    assert node.copy("sampler", "/data/ledger", path)
    return Ledger(path)


def bench(ledger, run):
    """Numbers of the readings of one run that the sim sensor made."""
    return [key for key, reading in ledger.readings.items() if key[0] == run and reading[0] == "bench"]


def crash(stack):
    """Every container gets SIGKILL once, one after the other, and is started again."""
    for container in stack.containers():
        docker("kill", "--signal", "KILL", container.id)
        docker("start", container.id)


def test_every_reading_once(boards, tmp_path):
    """Scaled to three ingests, every container killed once: rows are held against the ledger."""
    broker, node = boards
    broker.up()
    start = time.monotonic()
    node.up()
    eventually(lambda: broker.query("SELECT id FROM dht LIMIT 1"), "a first row is stored", 60)
    print(f"\nfirst row {time.monotonic() - start:.1f} s after `up` of the node")

    broker.up("--scale", "ingest=3", "--no-recreate")
    broker.all_healthy()
    node.all_healthy()
    for container in broker.containers() + node.containers():
        checks.confined(container)
        checks.limited(container)
    assert len(broker.containers()) == 5

    runs = read_ledger(node, tmp_path).runs
    assert len(runs) == 1, "the sampler has restarted by itself"
    crash(node)
    crash(broker)
    node.all_healthy()
    broker.all_healthy()

    def all_sampled():
        ledger = read_ledger(node, tmp_path)
        assert len(ledger.runs) == 2, ledger.runs
        assert len(bench(ledger, ledger.runs[1])) == READINGS
        return ledger

    eventually(all_sampled, f"the second run has sampled {READINGS} readings", 120)
    node.compose("stop", "sampler")
    ledger = read_ledger(node, tmp_path)
    eventually(
        lambda: int(broker.query("SELECT count(*) FROM reading")[0][0]) >= len(ledger.accepted),
        f"the {len(ledger.accepted)} accepted readings are stored",
        60,
    )
    node.compose("stop")
    broker.compose("stop")
    for container in broker.containers() + node.containers():
        assert container.state["State"]["ExitCode"] == 0, container

    assert broker.copy("ingest", "/data/broker.db", tmp_path / "broker.db")
    # Of several that stop in the same instant, none may be the last that empties the log.
    broker.copy("ingest", "/data/broker.db-wal", tmp_path / "broker.db-wal")
    database = Database(tmp_path / "broker.db")
    stored = database.rows()
    lost_at_most = len(ledger.readings) - len(ledger.accepted)
    print(f"{stored.total()} rows, {len(ledger.accepted)} accepted, {lost_at_most} not accepted")
    assert stored - ledger.rows() == {}, "stored twice, or never sampled"
    assert ledger.rows(ledger.accepted) - stored == {}, "accepted and missing"
    assert stored.total() > 2 * READINGS
    assert database.topics() == {"/data/orangepi0"}
    names, paper_rows = database.dht()
    assert names == ["id", "topic", "temp", "humidity"]
    assert len({row[0] for row in paper_rows}) == len(paper_rows) == stored.total()
    assert database.dead_letters() == []


def test_a_node_with_gpio(new_stack):
    """gpio.yml gives the sampler one device and its group, and takes nothing of the rest back."""
    override = REPO / "compose/gpio.yml"
    settings = {"GPIO_DEVICE": "/dev/full", "GPIO_GROUP": 4242, "NODE_NAME": "orangepi0"}
    sensors = "climate=dht22@pinctrl-bcm2711:4"
    node = new_stack("node", "node.yml", override=override, SENSORS=sensors, **settings)
    node.up()
    [sampler] = [c for c in node.containers() if c.service == "sampler"]
    host = sampler.state["HostConfig"]
    assert host["GroupAdd"] == ["4242"]
    assert "4242" in sampler.proc[0]["Groups"].split()
    checks.confined(sampler, devices=["/dev/full"])
    # No chip here: it says so, and goes on.
    eventually(lambda: "cause=no-chip" in node.logs(), "the missing chip is named", 30)
    probe = node.compose("run", "--rm", "--no-deps", "sampler", "--probe", check=False)
    assert probe.returncode == 1
    assert "GPIO chips:" in probe.stdout and "no-chip" in probe.stdout
    board = node.compose("run", "--rm", "--no-deps", "sampler", "--board", "orangepi-zero3")
    assert "Orange Pi Zero 3" in board.stdout and "PC9" in board.stdout
    node.compose("stop")
