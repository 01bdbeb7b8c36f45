"""Retained plain messages: stored once when they are published, never out of the broker's memory."""

import json

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from harness import Peer, eventually
from harness.broker import HOST
from harness.peer import new_stream
from harness.service import ROOT

pytestmark = pytest.mark.stores

TOPIC = "/data/thermostat"
SESSION = "dewpoint-ingest-plain"


def stored(lab):
    """The temperatures of TOPIC, in the order they were stored."""
    sql = "SELECT temperature FROM reading JOIN sensor ON sensor.id = sensor WHERE topic = ? ORDER BY reading.id"
    return [value for (value,) in lab.database.query(sql, TOPIC)]


def probes(lab):
    sql = "SELECT count(*) FROM reading JOIN sensor ON sensor.id = sensor WHERE topic = '/data/probe'"
    return sum(n for (n,) in lab.database.query(sql))


def subscribed(lab, broker):
    """Until ingest takes plain messages on a session that is there, and has stored what came before.

    What is retained would have been sent with the answer to its SUBSCRIBE, before these.
    """
    client = lab.client(broker)
    before = probes(lab)

    def taken():
        client.publish("/data/probe", '{"probe":1}')
        return probes(lab) > before

    eventually(taken, "plain messages are taken", poll_s=0.2)
    return client


def publish(lab, client, value):
    """A retained message, and until it is stored."""
    before = stored(lab)
    client.publish(TOPIC, json.dumps({"temperature": value}), retain=True)
    eventually(lambda: stored(lab) == [*before, value], f"{value} is stored")


def is_retained(lab, broker, value):
    client = lab.client(broker)
    client.subscribe(TOPIC)
    message = client.wait_message(TOPIC)
    assert message.retain and json.loads(message.payload) == {"temperature": value}
    client.close()


def drop_session(broker):
    """As if its time had run out."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=SESSION, protocol=mqtt.MQTTv5)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 0
    present = []
    client.on_connect = lambda _client, _data, flags, _code, _properties: present.append(flags.session_present)
    client.connect(HOST, broker.port, clean_start=False, properties=properties)
    client.loop_start()
    eventually(lambda: present, "the session is taken over")
    client.disconnect()
    client.loop_stop()
    assert present == [True], "ingest has no session of this name"


def test_what_was_retained_before_the_first_start(lab, central):
    """It is of an unknown time: the first reading is the device's next message."""
    client = lab.client(central)
    client.publish(TOPIC, '{"temperature":1}', retain=True)
    client.publish("/data/garbage", "not a reading", retain=True)
    client.publish("/data/node/batch", "no batch", retain=True)
    lab.ingest(central)
    subscribed(lab, central)
    assert stored(lab) == []
    publish(lab, client, 2)
    assert "stored" in Peer(client).batch(new_stream(), 1, 1)
    assert lab.database.dead_letters() == []


def test_what_was_retained_while_ingest_was_away(lab, central):
    """Its session keeps each message, retained or not; none comes twice."""
    ingest = lab.ingest(central)
    client = subscribed(lab, central)
    publish(lab, client, 1)
    ingest.stop()
    client.publish(TOPIC, '{"temperature":2}', retain=True)
    client.publish(TOPIC, '{"temperature":3}', retain=True)
    ingest.start()
    eventually(lambda: stored(lab) == [1, 2, 3], "both are stored")
    ingest.restart()
    subscribed(lab, central)
    assert stored(lab) == [1, 2, 3]


def test_a_session_that_has_expired(lab, central):
    """What is stored is not stored again; what is published next is."""
    ingest = lab.ingest(central)
    client = subscribed(lab, central)
    publish(lab, client, 1)
    ingest.stop()
    drop_session(central)
    ingest.start()
    subscribed(lab, central)
    is_retained(lab, central, 1)
    assert stored(lab) == [1]
    publish(lab, client, 2)


def test_a_broker_that_has_saved_the_message_and_not_the_session(lab):
    """Killed before it saves again, as compose's broker may be."""
    broker = lab.broker(settings=ROOT / "compose/mosquitto/broker.conf")
    client = lab.client(broker)
    client.publish(TOPIC, '{"temperature":1}', retain=True)
    client.close()
    broker.process.terminate(10)  # it saves
    broker.start()
    lab.ingest(broker)
    client = subscribed(lab, broker)
    publish(lab, client, 1)
    for client in lab.clients:
        client.close()  # or theirs came again
    broker.kill()
    broker.start()
    client = subscribed(lab, broker)
    is_retained(lab, broker, 1)
    assert stored(lab) == [1]
    publish(lab, client, 2)
