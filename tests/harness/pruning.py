"""Old readings for a pruner, orders to it and its reports."""

import json
import secrets
import time

from harness.client import publish_properties
from harness.peer import Peer, new_stream, senml
from harness.wait import eventually

DAY_S = 86400


def at(age_s, value):
    """One reading of this age."""
    time_s = int(time.time()) - age_s
    return [{"bn": "climate/", "bt": time_s, "n": "temperature", "u": "Cel", "v": value}]


def store(lab, central, readings):
    """Have an ingest store them; the stream they were of."""
    lab.ingest(central)
    stream = new_stream()
    assert "stored" in Peer(lab.client(central)).ask(stream, 1, senml(readings), len(readings))
    return stream


def temperatures(lab):
    return sorted(values["temperature"] for _, _, values in lab.database.readings())


def watching(lab, central):
    """A client that gets the reports."""
    client = lab.client(central)
    client.subscribe("retention/report")
    return client


def reports(client):
    return [json.loads(message.payload) for message in client.messages("retention/report")]


def order(client, **members):
    """Ask for a run; its report, as the answer."""
    topic = f"answers/{secrets.token_hex(4)}"
    client.subscribe(topic)
    properties = publish_properties(response=topic, correlation=b"order")
    client.post("retention/run", json.dumps(members).encode(), properties=properties)
    (message,) = eventually(lambda: client.messages(topic), "an answer to the order")
    assert message.properties.CorrelationData == b"order"
    return json.loads(message.payload)


def minutes(lab, view="reading_1m"):
    sql = f"SELECT count, min, max, sum, first, last FROM {view} WHERE quantity = 'temperature'"
    return lab.database.query(f"{sql} ORDER BY ts")


def said(service, message):
    return [event for event in service.events() if event["msg"] == message]


def send(lab, central, readings, node="bench"):
    peer = Peer(lab.client(central), node)
    assert "stored" in peer.ask(new_stream(), 1, senml(readings), len(readings))
