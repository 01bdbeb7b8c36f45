"""LINK=metered: what is left out to save bytes, and what still holds without it."""

import json
import time

import pytest

from harness import Centre, eventually
from harness.client import publish_properties
from harness.odd_broker import CONNECT, PUBLISH
from harness.oracle import stored_exactly_once
from harness.peer import new_stream, senml

METERED = {"LINK": "metered", "SEND_EVERY": "0", "ANSWER_WITHIN": "200ms"}
STATE = "state/pi/climate"


def sample(client, stream, seq, time_s):
    """What a sampler publishes for one reading: its value is its number."""
    record = {"bn": "climate/", "bt": time_s, "n": "temperature", "u": "Cel", "v": seq}
    properties = publish_properties(
        content_type="application/senml+json",
        response=f"local/ack/{stream}",
        user=[
            *(("v", "1"), ("stream", stream), ("first", str(seq))),
            *(("count", "1"), ("low", "1"), ("wait", "60000")),
        ],
    )
    client.publish("local/reading/climate", senml([[record]]), properties=properties)


def shown(message):
    return json.loads(message.payload)["temperature"]


def user_of(message):
    return dict(getattr(message.properties, "UserProperty", []))


def publisher_on(lab, local, central, link):
    settings = METERED if link == "metered" else {}
    return lab.publisher(local, central, node="pi", **settings)


@pytest.mark.parametrize("before", ["lan", "metered"])
@pytest.mark.parametrize("after", ["lan", "metered"])
def test_the_state_never_goes_back_whatever_the_link_was(lab, local, central, before, after):
    """Both forms of a state are read back by a publisher that writes either."""
    publisher = publisher_on(lab, local, central, before)
    watcher, sampler = lab.client(central), lab.client(local)
    watcher.subscribe(STATE)
    stream, now = new_stream(), round(time.time())
    # The clock was an hour ahead when the first was taken.
    sample(sampler, stream, 1, now + 3600)
    sample(sampler, stream, 2, now - 5)
    state = watcher.wait_message(STATE, lambda m: shown(m) == 2)
    wanted = {"stream": stream, "first": "2"} if before == "lan" else {"of": f"{stream[:8]}-2"}
    assert user_of(state) == wanted
    publisher.env |= METERED | {"LINK": after}
    publisher.restart()
    begun = len(watcher.messages(STATE))
    sample(sampler, stream, 1, now + 3600)
    sample(sampler, stream, 3, now - 4)
    watcher.wait_message(STATE, lambda m: shown(m) == 3)
    assert 1 not in [shown(m) for m in watcher.messages(STATE)[begun:]]


def test_whose_a_sensor_is_stays_known(lab, local, central):
    """Only its status says it, and a name that has left is cleared by that, also after a restart."""
    publisher = lab.publisher(local, central, node="pi", **METERED)
    watcher = lab.client(central)
    watcher.subscribe("state/pi/+")
    watcher.subscribe("status/pi/+")
    sampler = lab.sampler(local, "a=sim@1,b=sim@2", PERIOD_MS=200)
    for name in "ab":
        watcher.wait_message(f"state/pi/{name}", lambda m: list(user_of(m)) == ["of"])
        assert "sampler" in user_of(watcher.wait_message(f"status/pi/{name}"))
    publisher.kill()
    sampler.kill()
    sampler.env["SENSORS"] = "a=sim@1"
    sampler.start()
    publisher.start()
    for topics in "state", "status":
        watcher.wait_message(f"{topics}/pi/b", lambda m: m.payload == b"")
    assert all(m.payload for m in watcher.messages("state/pi/a"))


def test_the_brokers_answer_is_left_out_when_the_centres_may_take_time(lab, local, central):
    """QoS 0, but for the first batch of a connection, and for what comes again."""
    silent = set()

    def policy(batch):
        return None if batch.first in silent else centre.stored(batch)

    qos = {}
    watcher = lab.client(central)
    watcher.listen(
        "/data/pi/batch", lambda m: qos.setdefault(int(user_of(m)["first"]), []).append(m.qos)
    )
    centre = Centre(lab.client(central), policy)
    # What is accepted has been answered by the centre, and is not just written down.
    lab.publisher(local, central, node="pi", SPILL_AFTER_MS=60000, **METERED)
    sampler = lab.client(local)
    stream = new_stream()
    sampler.subscribe(f"local/ack/{stream}")

    def accepted(seq):
        def covers(message):
            ranges = json.loads(message.payload)["stored"]
            return any(first <= seq < first + count for _, first, count in ranges)

        sampler.wait_message(f"local/ack/{stream}", covers)

    def sent(seq, wanted):
        sample(sampler, stream, seq, 1732312345 + seq)
        eventually(lambda: qos.get(seq) == wanted, f"{wanted} of {seq}: {qos}")

    sent(1, [1])
    accepted(1)
    silent.add(2)
    sent(2, [0])
    eventually(lambda: len(qos[2]) >= 2, "it is sent again")
    silent.clear()
    accepted(2)
    assert qos[2] == [0] + [1] * (len(qos[2]) - 1)
    sent(3, [0])


def test_an_ingest_that_dies_costs_no_reading(lab, local, central):
    """What was sent to nobody, or was not stored yet, comes again."""
    ingest = lab.ingest(central)
    lab.publisher(local, central, node="pi", **METERED)
    sampler = lab.sampler(local, "bench=sim@42,count=400", PERIOD_MS=20)
    for share in (50, 150, 250):
        eventually(lambda share=share: lab.database.count() > share, f"more than {share} are stored")
        ingest.restart()
    stored_exactly_once(lab, sampler, 400)


def test_a_new_connection_begins_with_whole_topics(lab, local, central):
    """The centre's broker is killed while topics are sent as numbers."""
    lab.ingest(central)
    watcher = lab.client(central)
    watcher.subscribe("state/pi/+")
    lab.publisher(local, central, node="pi", **METERED)
    sampler = lab.sampler(local, "bench=sim@42,count=200", PERIOD_MS=40)
    for _ in range(2):
        begun = len(watcher.messages())
        eventually(lambda begun=begun: len(watcher.messages()) >= begun + 2, "states come")
        central.kill()
        central.start()
    stored_exactly_once(lab, sampler, 200)


def test_a_broker_without_topic_aliases_gets_topics(lab, local):
    """It says so in CONNACK; one that is used all the same would end the connection."""
    central = lab.broker(more=["max_topic_alias 0"])
    lab.ingest(central)
    publisher = lab.publisher(local, central, node="pi", **METERED)
    sampler = lab.sampler(local, "bench=sim@42,count=100", PERIOD_MS=20)
    stored_exactly_once(lab, sampler, 100)
    assert [e for e in publisher.events() if "connection lost" in e["msg"]] == []


def topics_of_states(broker):
    return [topic for kind, topic in list(broker.packets) if kind == PUBLISH and topic in ("", "state/pi/s")]


@pytest.mark.parametrize("aliases", [0, 1])
def test_a_topic_is_sent_once_where_the_broker_allows(lab, local, odd, aliases):
    broker = odd(aliases=aliases)
    lab.publisher(local, broker, node="pi", healthy=False, **METERED)
    lab.sampler(local, "s=sim@1", PERIOD_MS=500)
    eventually(lambda: len(topics_of_states(broker)) >= 3, "three states", 60)
    first, *others = topics_of_states(broker)
    assert first == "state/pi/s" and set(others) == {"" if aliases else "state/pi/s"}


@pytest.mark.parametrize("reason", [0x94, 0x82])
def test_a_broker_that_ends_the_connection_for_an_alias_gets_no_more(lab, local, odd, reason):
    """It has allowed them: only the next connection is without, and the log says so once."""
    broker = odd(aliases=5, no_alias=reason)
    publisher = lab.publisher(local, broker, node="pi", healthy=False, **METERED)
    lab.sampler(local, "s=sim@1", PERIOD_MS=500)
    eventually(lambda: "" in topics_of_states(broker), "one is used", 60)
    used = len(topics_of_states(broker))
    eventually(lambda: len(topics_of_states(broker)) >= used + 3, "three more states", 60)
    assert "" not in topics_of_states(broker)[used:]
    assert broker.count(CONNECT) == 2
    assert len([e for e in publisher.events() if "topic aliases" in e["msg"]]) == 1
