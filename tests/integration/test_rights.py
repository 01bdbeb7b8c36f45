"""A central broker with rights, default deny: each service does its work and nothing is refused."""

import json
from collections import namedtuple

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from harness import Certificates, eventually
from harness.gpio import Chip
from harness.oracle import all_accepted, stored_exactly_once
from harness.rights import ProvisionedCentre, rights_of

NOT_AUTHORIZED = 0x87
STATS = {"STATS_PERIOD_S": 1}

Node = namedtuple("Node", "publisher sampler")


@pytest.fixture
def centre(lab, tmp_path):
    rights = rights_of(tmp_path / "who", {"pi": [], "opi": []}, operators=["_operator", "_homeassistant"])
    return ProvisionedCentre(lab, Certificates(tmp_path / "ca"), rights, more=["log_type all"])


def start_node(lab, centre, tmp_path, name, seed):
    """A node with a sensor and an output `fan`, whose statistics come every second."""
    local, chip = lab.broker(), Chip(tmp_path / f"gpio-{name}", "pinctrl-test")
    publisher = centre.publisher(local, name, **STATS)
    outputs = f"fan=gpio@{chip.line(17).name}"
    sampler = lab.sampler(
        local, f"bench=sim@{seed},count=50", OUTPUTS=outputs, GPIO_FAKE=chip.root, PERIOD_MS=10, **STATS
    )
    return Node(publisher, sampler)


def ask(client, topic, payload, response):
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = response
    properties.CorrelationData = response.encode()
    client.publish(topic, payload, properties=properties)


def command(client, asker, node, value):
    """A command to the output `fan`, and its answer."""
    response = f"answer/{asker}/{node}"
    before = len(client.messages(response))
    ask(client, f"cmd/{node}/fan/set", str(value), response)
    return json.loads(eventually(lambda: client.messages(response)[before:], "an answer")[0].payload)


def refusals(service):
    """Lines of its log about what the broker refused."""
    return [
        event
        for event in service.events()
        if "refuse" in event.get("msg", "") or "not authorized" in event.get("reason", "").lower()
    ]


def echoes(centre, name):
    """States that the broker sent back to their node after it had read what was retained."""
    lines = centre.inside.process.stderr().splitlines()
    last = max(i for i, line in enumerate(lines) if f"Received UNSUBSCRIBE from {name}" in line)
    return [line for line in lines[last:] if f"Sending PUBLISH to {name} (" in line and "'state/" in line]


def test_all_that_services_do_is_granted(lab, centre, tmp_path):
    """Readings, state, status, wills, commands, orders, reports, statistics: and nothing is refused."""
    ingest, pruner = centre.ingest(**STATS), centre.pruner(**STATS)
    board, operator = centre.service("_dashboard"), centre.person("_operator")
    for topic_filter in ("state/#", "status/#", "stats/#", "retention/report"):
        assert board.subscribe(topic_filter) == 1
    assert operator.subscribe("answer/_operator/+") == 1
    names = ["pi", "opi"]
    nodes = {n: start_node(lab, centre, tmp_path, n, 40 + i) for i, n in enumerate(names)}
    ledgers = [all_accepted(node.sampler, 50) for node in nodes.values()]
    expected = sum((ledger.rows() for ledger in ledgers[1:]), ledgers[0].rows())
    eventually(lambda: lab.database.rows() == expected, "all are stored, once")
    for name in names:
        for topic in (f"status/{name}", f"status/{name}/bench", f"status/{name}/fan"):
            board.wait_message(topic, lambda m: m.payload == b"online")
        board.wait_message(f"state/{name}/bench")
        assert command(operator, "_operator", name, 1)["value"] == 1
        board.wait_message(f"state/{name}/fan", lambda m: json.loads(m.payload)["value"] == 1)
    ask(operator, "retention/run", '{"dry_run":true}', "answer/_operator/_pruner")
    report = json.loads(operator.wait_message("answer/_operator/_pruner").payload)
    assert report["outcome"] == "dry_run"
    board.wait_message("retention/report")
    services = {"broker/ingest": [ingest], "broker/retention-pruner": [pruner]}
    for name, node in nodes.items():
        services[f"{name}/publisher"], services[f"{name}/sampler"] = [node.publisher], [node.sampler]
    for path, (service,) in services.items():
        board.wait_message(f"stats/{path}/{service.settings['INSTANCE']}")
    for (service,) in services.values():
        service.wait_healthy()
    # A will, and what is read back after a restart; then both are well again.
    nodes["pi"].publisher.kill()
    board.wait_message("status/pi", lambda m: m.payload == b"offline")
    nodes["pi"].publisher.start()
    assert command(operator, "_operator", "pi", 0)["value"] == 0
    assert "does not show what it retains" not in nodes["pi"].publisher.stderr()
    for (service,) in services.values():
        service.stop()
        assert refusals(service) == [], service.name
    assert centre.denied() == []
    # No log has a refused UNSUBSCRIBE.
    assert [echoes(centre, name) for name in names] == [[], []]
    # The oracle sees a refusal where there is one.
    operator.publish("status/pi", "offline")
    eventually(centre.denied, "a refusal is in the broker's log")


def test_an_answer_is_the_askers_alone(lab, centre, tmp_path):
    """Who asked reads it, another operator cannot, and no node answers in another's name."""
    node = start_node(lab, centre, tmp_path, "pi", 41)
    operator, other = centre.person("_operator"), centre.person("_homeassistant")
    assert operator.subscribe("answer/_operator/+") == 1
    assert other.subscribe("answer/_homeassistant/+") == 1
    for topic_filter in ("answer/#", "answer/+/+", "answer/_operator/+", "answer/_operator/pi"):
        assert other.subscribe(topic_filter) == NOT_AUTHORIZED
    board = centre.service("_dashboard")
    board.subscribe("status/#")
    board.wait_message("status/pi/fan", lambda m: m.payload == b"online")
    assert command(operator, "_operator", "pi", 1)["value"] == 1
    # Asked to speak as another node, and under a topic that nobody granted: carried out,
    # refused, and not sent again.
    for response in ("answer/_operator/opi", "reply/1"):
        ask(operator, "cmd/pi/fan/set", "0", response)
        eventually(
            lambda response=response: [e for e in refusals(node.publisher) if e.get("topic") == response],
            f"the publisher says that its answer to {response} is refused",
        )
    assert command(operator, "_operator", "pi", 1)["value"] == 1
    assert command(other, "_homeassistant", "pi", 0)["value"] == 0
    assert {m.topic for m in operator.messages()} == {"answer/_operator/pi"}
    assert {m.topic for m in other.messages()} == {"answer/_homeassistant/pi"}
    for response in ("answer/_operator/opi", "reply/1"):
        assert len([e for e in refusals(node.publisher) if e.get("topic") == response]) == 1
        assert len([line for line in centre.denied() if f"'{response}'" in line]) == 1
    node.publisher.wait_healthy()


def test_nobody_uses_anothers_topics(lab, centre):
    """A node sends no readings of another, sets no output and takes no share of what ingest gets."""
    ingest = centre.ingest()
    pi = centre.person("pi")
    for topic_filter in ("#", "$share/ingest//data/+/batch", "/data/+", "cmd/+/+/set", "state/#"):
        assert pi.subscribe(topic_filter) == NOT_AUTHORIZED
    for topic in ("/data/opi", "/data/opi/batch", "state/opi/x", "cmd/opi/fan/set", "retention/run"):
        pi.publish(topic, '{"x":1}')
    pi.publish("/data/pi", '{"x":2}')
    eventually(lambda: lab.database.count() == 1, "its own is stored")
    assert lab.database.query("SELECT topic FROM sensor") == [("/data/pi",)]
    ingest.wait_healthy()


def test_three_ingests_share_one_user(lab, centre):
    """The same user and password three times on the inner listener: each takes its share."""
    local = lab.broker()
    ingests = [centre.ingest(PRINT_READINGS=1) for _ in range(3)]
    centre.publisher(local, "pi")
    sampler = lab.sampler(local, "bench=sim@42,count=1500", PERIOD_MS=1)
    stored_exactly_once(lab, sampler, 1500)
    device = centre.person("opi")
    device.publish("/data/opi", '{"temperature":20}')
    eventually(lambda: lab.database.count() == 1501, "one of them takes plain messages")
    for ingest in ingests:
        ingest.wait_healthy()
        ingest.stop()
        assert ingest.stdout(), f"{ingest.directory.name} took no batch"
        assert refusals(ingest) == []
