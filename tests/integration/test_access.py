"""What a service says at its start about who may use the broker."""

import pytest

from harness import eventually

INSECURE = "anyone on the network may publish as any node"
CLOSED = "reachable from this machine only"
UNPROTECTED = "without encryption and without an identity"
# This machine, but by none of the names that say so.
ELSEWHERE = "mqtt://0.0.0.0:1"


def start_each(lab, broker, **settings):
    """Every service; their broker is not there."""
    return [
        lab.sampler(broker, "bench=sim@1", healthy=False, **settings),
        lab.publisher(broker, broker, healthy=False, **settings),
        lab.ingest(broker, healthy=False, **settings),
        lab.pruner(broker, healthy=False, **settings),
    ]


def said(service, text):
    """Its lines with that text, once it has started and said whatever it says then."""
    eventually(lambda: "cannot connect" in service.stderr(), f"{service.name} has started")
    return [event for event in service.events() if text in event["msg"]]


@pytest.mark.stores
def test_allow_insecure_is_said_at_each_start(lab):
    """One warning from every service, at its second start too, and what to do; none without."""
    broker = lab.broker(start=False)
    for service in start_each(lab, broker, ALLOW_INSECURE=1):
        lines = said(service, INSECURE)
        assert [line["level"] for line in lines] == ["warn"], service.name
        assert "switch outputs" in lines[0]["msg"] and "make provision" in lines[0]["msg"]
        service.restart(healthy=False)
        eventually(lambda s=service: len(said(s, INSECURE)) == 2, "it is said again")
    for service in start_each(lab, broker):
        assert said(service, INSECURE) == [], service.name


@pytest.mark.stores
@pytest.mark.parametrize(
    ("settings", "times"),
    [
        ({}, 1),
        ({"BROKER_ACCESS": "", "ALLOW_INSECURE": ""}, 1),
        ({"BROKER_ACCESS": "provisioned"}, 0),
        ({"ALLOW_INSECURE": "1"}, 0),
        ({"MQTT_URL": ELSEWHERE}, 0),
        ({"MQTT_URL": "mqtt://mosquitto:1"}, 1),
        ({"MQTT_URL": "mqtt://broker:1"}, 0),
        ({"MQTT_URL": "mqtt://ann:secret@127.0.0.1:1"}, 0),
    ],
)
def test_ingest_says_how_boards_are_let_in(lab, settings, times):
    """Where the stack's broker is open to this machine only, and to nobody else."""
    lines = said(lab.ingest(lab.broker(start=False), healthy=False, **settings), CLOSED)
    assert [line["level"] for line in lines] == ["info"] * times
    for line in lines:
        assert 'make provision BROKER=' in line["msg"] and "ALLOW_INSECURE=1" in line["msg"]


@pytest.mark.parametrize(
    ("url", "settings", "times"),
    [
        (ELSEWHERE, {}, 1),
        ("mqtt://broker:1", {}, 1),
        (ELSEWHERE, {"ALLOW_INSECURE": "1"}, 0),
        ("mqtt://ann:secret@0.0.0.0:1", {}, 0),
        ("mqtt://127.0.0.1:1", {}, 0),
        ("mqtt://localhost:1", {}, 0),
    ],
)
def test_a_publisher_that_anybody_could_be(lab, local, url, settings, times):
    """Readings to another machine, in the clear and without a user: a warning."""
    publisher = lab.publisher(local, local, healthy=False, UPSTREAM_URL=url, **settings)
    lines = said(publisher, UNPROTECTED)
    assert [line["level"] for line in lines] == ["warn"] * times


@pytest.mark.parametrize(("name", "times"), [("broker", 1), ("broker2", 0)])
def test_a_node_with_the_centres_name(lab, local, name, times):
    """stats/broker/... is the centre's: a node of that name is warned."""
    publisher = lab.publisher(local, lab.broker(start=False), node=name, healthy=False)
    assert len(said(publisher, "what the centre calls itself")) == times
