"""What a broker says to SUBSCRIBE, PUBLISH and by DISCONNECT is heard."""

import json

import pytest

from harness import eventually
from harness.odd_broker import CONNECT, SUBSCRIBE

PLUGIN = "/usr/lib/x86_64-linux-gnu/mosquitto_dynamic_security.so"
REFUSED = "refuses a subscription"


def limited_broker(lab, subscribe=(), publish=True):
    """A mosquitto where only these filters may be subscribed to; nothing may be published
    unless `publish`."""
    broker = lab.broker(start=False)
    acls = [
        {"acltype": "subscribePattern", "topic": topic, "priority": 0, "allow": True}
        for topic in subscribe
    ]
    config = {
        "defaultACLAccess": {
            "publishClientSend": publish,
            "publishClientReceive": True,
            "subscribe": False,
            "unsubscribe": True,
        },
        "anonymousGroup": "anyone",
        "clients": [],
        "groups": [{"groupname": "anyone", "roles": [{"rolename": "r", "priority": 0}]}],
        "roles": [{"rolename": "r", "acls": acls}],
    }
    path = broker.directory / "rights.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    settings = broker.directory / "mosquitto.conf"
    lines = [f"plugin {PLUGIN}", f"plugin_opt_config_file {path}"]
    settings.write_text(settings.read_text(encoding="utf-8") + "\n".join(lines) + "\n")
    broker.start()
    return broker


def says(service, text):
    """Wait until its health is bad for this reason."""

    def unwell():
        code, line = service.health()
        assert code == 1 and text.lower() in line.lower(), line
        return True

    eventually(unwell, f"{service.name} says {text!r}")


def logged(service, text):
    return [event for event in service.events() if text in event.get("msg", "")]


def test_a_refused_subscription_is_said_by_each_service(lab, central):
    """Nothing may be subscribed to: no service claims to be well."""
    limited = limited_broker(lab)
    for service in [
        lab.ingest(limited, healthy=False),
        lab.publisher(limited, central, node="a", healthy=False),
        lab.publisher(central, limited, node="b", healthy=False),
        lab.sampler(limited, "bench=sim@1", healthy=False),
        lab.pruner(limited, healthy=False),
    ]:
        says(service, "refused: not authorized")
        lines = logged(service, REFUSED)
        assert len(lines) == len({line["filter"] for line in lines}) > 0, lines


def test_one_of_two_subscriptions_is_refused(lab):
    """Ingest hears native readings, plain ones not: it is not well."""
    limited = limited_broker(lab, subscribe=["$share/ingest//data/+/batch", "ingest/store/#"])
    ingest = lab.ingest(limited, healthy=False)
    says(ingest, "subscription to /data/+ refused")


@pytest.mark.parametrize("code", [0x80, 0x87, 0x8F, 0x97, 0x9E, 0xA1])
def test_every_reason_counts(lab, odd, code):
    broker = odd(suback=code)
    pruner = lab.pruner(broker, healthy=False)
    says(pruner, "subscription to retention/run refused")
    lines = [line for line in logged(pruner, REFUSED) if line["filter"] == "retention/run"]
    assert len(lines) == 1


def test_a_weaker_subscription_is_said(lab, odd):
    pruner = lab.pruner(odd(suback=0), healthy=False)
    says(pruner, "granted with QoS 0 only")


def test_without_an_answer_a_service_is_not_well(lab, odd):
    """CONNACK is no promise: well only after SUBACK."""
    broker = odd(suback=None)
    pruner = lab.pruner(broker, healthy=False)
    eventually(lambda: broker.count(SUBSCRIBE) == 2, "SUBSCRIBE")
    says(pruner, "not answered yet")


def test_what_the_library_does_not_send_keeps_nothing_else_from_it(lab, odd, central):
    """A SUBSCRIBE that is too large for the broker: the one after it leaves all the same."""
    broker = odd(largest=21)
    publisher = lab.publisher(broker, central, healthy=False)
    says(publisher, "subscription to local/listening/+ could not be sent")
    eventually(lambda: (SUBSCRIBE, "local/answer/#") in broker.packets, "the next is asked for")
    lines = logged(publisher, "a subscription could not be sent")
    assert [line["filter"] for line in lines] == ["local/listening/+"]


def test_refused_readings_are_said_by_the_sampler(lab, odd):
    broker = odd(puback=0x87)
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, PERIOD_MS=100)
    says(sampler, "refuses readings")
    lines = logged(sampler, "refuses what is published")
    assert [line["reason"].lower() for line in lines] == ["not authorized"] * len(lines)
    kinds = [line["topic"].split("/")[0] for line in lines]
    assert len(kinds) == len(set(kinds)) == 1, "once for each kind of topic"


def test_a_farewell_is_logged_in_words(lab, odd):
    pruner = lab.pruner(odd(goodbye=0x89), healthy=False)
    eventually(lambda: logged(pruner, "connection lost"), "the loss is logged")
    reason = logged(pruner, "connection lost")[0]["reason"].lower()
    assert "server busy" in reason, reason


def test_a_broker_that_hangs_up_is_met_more_and_more_seldom(lab, odd):
    """CONNACK and the end, each time: the distances grow as if it were away."""
    broker = odd(hang_up=True)
    pruner = lab.pruner(broker, healthy=False)
    eventually(lambda: broker.count(CONNECT) >= 6, "six attempts")
    waits = [int(e["wait_ms"]) for e in logged(pruner, "waiting before the next")][:5]
    for wait, nominal in zip(waits, [250, 500, 1000, 2000, 4000], strict=True):
        assert nominal * 3 // 4 <= wait < nominal * 5 // 4, waits
