"""An ingest made by hand: sees what a publisher sends, and answers it as a test wants."""

import json
import zlib

from harness.client import publish_properties


class Batch:
    """One message on <prefix>/<node>/batch, taken apart."""

    def __init__(self, message):
        self.topic = message.topic
        self.payload = message.payload
        self.content_type = getattr(message.properties, "ContentType", None)
        self.response = message.properties.ResponseTopic
        self.correlation = message.properties.CorrelationData
        self.user = dict(message.properties.UserProperty)
        self.stream = self.user["stream"]
        self.first = int(self.user["first"])
        self.count = int(self.user["count"])
        self.low = int(self.user["low"]) if "low" in self.user else None
        self.encoding = self.user.get("encoding")

    @property
    def numbers(self):
        return range(self.first, self.first + self.count)

    def readings(self):
        """How many readings the payload has: each begins with a record that carries bn."""
        return sum("bn" in record for record in json.loads(self.text())) if self.payload else 0

    def text(self):
        """The payload, inflated if it is deflated."""
        return zlib.decompress(self.payload) if self.encoding == "deflate" else self.payload


class Centre:
    """Subscribes like ingest and keeps every batch.

    policy(batch) returns the answer's JSON, or None to stay silent. By default
    everything is stored.
    """

    def __init__(self, client, policy=None):
        self.client = client
        self.policy = policy or self.stored
        self.batches = []
        self.answered = set()
        client.listen("/data/+/batch", self._on_batch)

    def stored(self, batch):
        """The answer of an ingest that has stored the batch."""
        self.answered.update(batch.numbers)
        return {"stored": [[batch.stream, batch.first, batch.count]]}

    def _on_batch(self, message):
        batch = Batch(message)
        self.batches.append(batch)
        answer = self.policy(batch) if batch.count else None
        if answer is not None:
            self.reply(batch, json.dumps(answer))

    def reply(self, batch, payload):
        properties = publish_properties(
            content_type="application/json" if payload else None, correlation=batch.correlation
        )
        self.client.post(batch.response, payload, properties=properties)
