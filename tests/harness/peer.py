"""A publisher made by hand: speaks common/README.md's contract, or breaks it on purpose."""

import itertools
import json
import secrets

from harness.client import publish_properties
from harness.wait import DEADLINE_S, eventually

BASE_TIME_S = 1732312345


def new_stream():
    """128 random bits, as the contract writes them."""
    return secrets.token_hex(16)


def reading(seq, sensor="climate", **values):
    """One reading as SenML records; its time and values tell its sequence number."""
    values = values or {"temperature": 20 + seq / 1000, "humidity": 40 + seq / 1000}
    units = {"temperature": "Cel", "humidity": "%RH"}
    records = []
    for name, value in values.items():
        record = {"n": name, "v": value}
        if name in units:
            record["u"] = units[name]
        records.append(record)
    records[0] = {"bn": f"{sensor}/", "bt": BASE_TIME_S + seq, **records[0]}
    return records


def readings(first, count, sensor="climate"):
    return [reading(seq, sensor) for seq in range(first, first + count)]


def senml(list_of_readings):
    """The payload of a batch."""
    return json.dumps([record for records in list_of_readings for record in records]).encode()


class Peer:
    """Sends batches of one node and collects ingest's answers to it."""

    _numbers = itertools.count(1)

    def __init__(self, client, node="bench", prefix="/data"):
        self.client = client
        self.node = node
        self.topic = f"{prefix}/{node}/batch"
        self.response = f"ack/{node}/hand"
        client.subscribe(f"ack/{node}/+")

    def send(self, stream, first, payload, count, v="1", response=None, encoding=None, **more):
        """Post one message; returns its correlation data. A property given as None is left out.

        `more` are `low`, `clock`, `wait`, `offer` and whatever else there may be.
        """
        correlation = b"c%d" % next(self._numbers)
        wanted = [("v", v), ("stream", stream), ("first", first), ("count", count)]
        wanted += [("encoding", encoding), *more.items()]
        properties = publish_properties(
            content_type="application/senml+json" if encoding is None else None,
            response=response or self.response,
            correlation=correlation,
            user=[(name, str(value)) for name, value in wanted if value is not None],
        )
        self.client.post(self.topic, payload, properties=properties)
        return correlation

    def answer(self, correlation, deadline_s=DEADLINE_S):
        """Wait for the answer that echoes this correlation data; returns it decoded, None if empty."""

        def arrived():
            return [
                message
                for message in self.client.messages(self.response)
                if getattr(message.properties, "CorrelationData", None) == correlation
            ]

        payload = eventually(arrived, f"an answer to {correlation!r}", deadline_s)[0].payload
        return json.loads(payload) if payload else None

    def ask(self, stream, first, payload, count, **options):
        """send() and its answer()."""
        return self.answer(self.send(stream, first, payload, count, **options))

    def batch(self, stream, first, count, sensor="climate", **options):
        """ask() with a correct batch of count readings."""
        return self.ask(stream, first, senml(readings(first, count, sensor)), count, **options)

    def answers(self):
        """Every answer so far, decoded."""
        return [json.loads(message.payload) for message in self.client.messages(self.response)]
