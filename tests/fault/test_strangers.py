"""Random and mutated messages of strangers among good ones, with rules of the database's own.

Every good reading is stored exactly once, ingest has neither ended nor lost its health, and each
stranger's message is stored, a dead letter, or what common/README.md says of it. The seed says
what is sent (`--seeds 7` sends it again); how it is grouped is the machine's.
"""

import json
import random
import re
import zlib

import pytest

from harness import Peer, eventually
from harness.client import publish_properties
from harness.peer import reading, readings, senml
from harness.rules import Rules

SHORT, FULL = 600, 12000
MOST_BYTES = 8192  # MAX_MESSAGE_BYTES
TOPIC_KEPT = 1024
GOOD_STREAM = "ab" * 16
AT_ONCE = 100  # so many are on their way to the broker
HOT = 100  # degrees; more is forbidden by the database

# MQTT allows them all; mosquitto refuses controls and what is no character.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # of a node
LETTERS = "".join(map(chr, range(0x20, 0x7F))).translate({ord(c): None for c in "+#/"})
RANGES = [(0xA0, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFDCF), (0x10000, 0x1FFFD)]
NUMBERS = ["1e308", "-1e308", "1e999", "1e100", "1e-400", "-0", "9223372036854775808", "9" * 400, "0x10", "1.", "NaN"]
BYTES = [b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\u0000", b"\\ud800", b'"', b"\\", b"{", b"[", b",", b"\xf4\x90\x80\x80"]


class Stranger:
    """Says anything; each message has a topic of its own."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    # ---- text ----

    def text(self, length):
        """So many characters, of all that a topic may have."""
        if self.random.random() < 0.5:
            return "".join(self.random.choices(LETTERS, k=length))
        first, last = self.random.choice(RANGES)
        return "".join(chr(self.random.randint(first, last)) for _ in range(length))

    def length(self, most):
        """Mostly short; now and then near a limit, or very long."""
        return self.random.choice([0, 1, 5, 20, 60, 64, 65, self.random.choice([255, 512, 1010, 1030, most])])

    # ---- payloads ----

    def object(self):
        value = {
            "temperature": self.random.randint(-50, 2 * HOT),
            "humidity": self.random.random() * 100,
            self.text(self.random.randint(0, 70)): self.random.choice([1, "x", None, True, {}, [1], 1e300]),
        }
        if self.random.random() < 0.3:
            value["time"] = self.random.choice([0, -1, 1732312345, 1732312345678, 1e18, "2024-11-22T21:52:25Z", "x"])
        return json.dumps(value, ensure_ascii=self.random.random() < 0.5).encode()

    def senml(self, count):
        runs = [reading(n, temperature=self.random.randint(-50, 2 * HOT)) for n in range(1, count + 1)]
        if self.random.random() < 0.3:
            record = self.random.choice(runs)[0]
            record[self.random.choice(["n", "u", "v", "bn", "bt", "t", "vs", "bver", "x_"])] = self.random.choice(
                [None, -1, 2**63, 1e308, "", self.text(20), [], {}]
            )
        return senml(runs)

    def mutated(self, payload):
        """A few bytes other than they were."""
        data = bytearray(payload)
        for _ in range(self.random.randint(1, 4)):
            at, to = sorted(self.random.randint(0, len(data)) for _ in range(2))
            kind = self.random.randrange(6)
            if kind == 0:
                data[at:at] = self.random.choice(BYTES)
            elif kind == 1:
                data[at:to] = b""
            elif kind == 2:
                data[at:at] = data[at:to]
            elif kind == 3 and at < len(data):
                data[at] ^= 1 << self.random.randrange(8)
            elif kind == 4:
                digits = [i for i, byte in enumerate(data) if chr(byte).isdigit()]
                if digits:
                    at = self.random.choice(digits)
                    data[at : at + 1] = self.random.choice(NUMBERS).encode()
            else:
                del data[to:]
        return bytes(data)

    def nested(self):
        depth = self.random.choice([10, 1000, 4000, MOST_BYTES * 2])
        opening, closing = self.random.choice([(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":', b"}]")])
        return opening * depth + self.random.choice([b"", b"1", closing * depth])

    def payload(self, count=1):
        form = self.random.random()
        if form < 0.35:
            whole = self.object()
        elif form < 0.65:
            whole = self.senml(count)
        elif form < 0.75:
            whole = f"Temp={self.random.randint(-50, 2 * HOT)}°C, Humidity=60.6%".encode()
        elif form < 0.85:
            return self.random.choice([b"", self.nested(), b" " * (MOST_BYTES + 1), b'{"temperature":1}' * 700])
        else:
            return self.random.randbytes(self.random.choice([1, 10, 1000, MOST_BYTES + 1]))
        return whole if self.random.random() < 0.3 else self.mutated(whole)

    def deflated(self, payload):
        """Deflated, and then perhaps not quite; now and then without end."""
        if self.random.random() < 0.1:
            payload = b" " * self.random.choice([MOST_BYTES, MOST_BYTES + 1, 1 << 22])
        whole = zlib.compress(payload, self.random.randint(0, 9))
        return whole if self.random.random() < 0.5 else self.mutated(whole)

    # ---- messages ----

    def plain(self, number):
        return Message(f"/data/{number}-{self.text(self.length(16000))}", self.payload())

    def native(self, number):
        node = f"s{number}" + self.random.choice(["", "", "", "-" + self.text(self.length(16000))])
        count = self.random.randint(1, 5)
        wanted = {"v": "1", "stream": self.random.randbytes(16).hex(), "first": "1", "count": str(count)}
        if self.random.random() < 0.2:
            wanted["low"] = "1"
        encoded = self.random.random() < 0.3
        if encoded:
            wanted |= {"v": "2", "encoding": "deflate"}
        true = dict(wanted)
        if self.random.random() < 0.4:
            name = self.random.choice(["v", "stream", "first", "count", "low", "clock", self.text(10)])
            wanted[name] = self.random.choice(
                ["", "0", "-1", "2", "10001", str(2**53), str(2**64), "none", "guessed", GOOD_STREAM, self.text(40)]
            )
        pairs = [pair for pair in wanted.items() if self.random.random() < 0.97]
        properties = publish_properties(
            content_type=self.random.choice([None, "application/senml+json", self.text(30)]),
            response=self.random.choice([f"ack/s{number}/x"] * 4 + [None, f"ack/other/{number}", self.text(30) or None]),
            correlation=self.random.choice([None, b"", self.random.randbytes(64), self.random.randbytes(65)]),
            user=pairs,
        )
        payload = self.senml(count) if self.random.random() < 0.5 else self.payload(count)
        if encoded:
            payload = self.deflated(payload)
        true = pairs == list(true.items()) and NAME.fullmatch(node) is not None
        return Message(f"/data/{node}/batch", payload, properties, dict(pairs), true)


class Message:
    def __init__(self, topic, payload, properties=None, said=None, true=False):
        self.topic = topic
        self.payload = payload
        self.properties = properties
        self.said = said  # of a batch: its identity, such as it is
        self.true = true  # ... which is as it should be

    @property
    def kept_topic(self):
        """As a dead letter has it."""
        return self.topic.encode()[:TOPIC_KEPT].decode(errors="ignore")

    def may_be_left(self):
        """Whether a batch may rightly be neither stored nor buried: of a version to come, without
        readings, or of a stream that belongs to another node."""
        said = self.said.get
        known = said("v", "1") in ("1", "2") and said("encoding", "deflate") == "deflate"
        return not known or said("count") == "0" or said("stream") == GOOD_STREAM

    def __repr__(self):
        return f"{self.topic[:80]!r} ({len(self.topic)}) {self.payload[:200]!r} ({len(self.payload)}) {self.said}"


class Good:
    """A publisher and a device that do all as they should."""

    def __init__(self, client):
        self.peer = Peer(client, "good")
        self.stream = GOOD_STREAM
        self.batches = self.values = 0

    def send(self):
        self.peer.send(self.stream, 3 * self.batches + 1, senml(readings(3 * self.batches + 1, 3)), 3)
        self.batches += 1
        self.peer.client.post("/data/good", json.dumps({"temperature": self.values / 1000}))
        self.values += 1


def by_topic(lab, sql):
    return dict(lab.database.query(sql))


ROWS = "SELECT topic, count(*) FROM reading JOIN sensor ON sensor.id = sensor GROUP BY topic"
LETTERS_OF = "SELECT topic, count(*) FROM dead_letter GROUP BY topic"


def unexplained(lab, messages):
    """What is neither stored nor kept, or more than once."""
    rows, letters = by_topic(lab, ROWS), by_topic(lab, LETTERS_OF)
    for message in messages:
        stored = rows.get(message.topic.removesuffix("/batch") if message.said is not None else message.topic, 0)
        kept = letters.get(message.kept_topic, 0)
        if message.said is None:
            pack = message.payload.lstrip(b" \t\r\n").startswith(b"[")
            if stored + kept == 1 or (pack and stored + kept > 1):
                continue
        elif message.true:
            # One letter for all of it, or one for each reading.
            if lab.database.intervals(message.said["stream"]) == [(1, int(message.said["count"]))]:
                if 1 <= stored + kept <= int(message.said["count"]):
                    continue
        elif stored + kept > 0 or message.may_be_left():
            continue
        yield message, stored, kept


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_bytes_of_strangers(lab, request, seed, store):
    print(f"the seed is {seed}: --seeds {seed}")
    if store == "postgresql":
        lab.use_postgres()
    central = lab.broker()
    stranger = Stranger(seed)
    room = stranger.random.choice([65536, 2097152])
    settings = {"MAX_MESSAGE_BYTES": MOST_BYTES, "DEAD_LETTERS_MAX": 1000000, "BUFFER_BYTES": room}
    ingest = lab.ingest(central, **settings)
    Rules(lab).forbid("reading", f"new.temperature > {HOT}", "too hot to be true")
    client, good = lab.client(central), Good(lab.client(central))

    def taken():
        client.publish("/data/probe", '{"temperature":1}')
        return "/data/probe" in by_topic(lab, ROWS)

    eventually(taken, "plain messages are taken", poll_s=0.2)
    good.send()  # first, so that its stream is its own
    eventually(lambda: lab.database.intervals(good.stream), "its stream is known")
    messages, pending = [], []
    for number in range(FULL if request.config.getoption("--full") else SHORT):
        message = stranger.native(number) if stranger.random.random() < 0.5 else stranger.plain(number)
        messages.append(message)
        pending.append(client.post(message.topic, message.payload, properties=message.properties))
        if stranger.random.random() < 0.2:
            good.send()
        if len(pending) == AT_ONCE:
            for one in pending:
                one.wait_for_publish(30)
            pending.clear()
    for one in pending:
        one.wait_for_publish(30)
    good.send()  # behind all of them, from a client that waits for each

    def all_good():
        return lab.database.intervals(good.stream) == [(1, 3 * good.batches)] and (
            by_topic(lab, ROWS).get("/data/good") == 3 * good.batches + good.values
        )

    eventually(all_good, "every good reading is stored", 120, poll_s=0.2)
    sql = "SELECT count(*), count(DISTINCT ts), count(DISTINCT temperature) FROM reading"
    sql += " JOIN sensor ON sensor.id = sensor WHERE topic = '/data/good' AND name"
    assert lab.database.query(f"{sql} <> ''")[0][:2] == (3 * good.batches, 3 * good.batches)
    assert lab.database.query(f"{sql} = ''")[0][::2] == (good.values, good.values)

    def all_explained():
        left = list(unexplained(lab, messages))
        assert not left, f"{len(left)} are not: (message, rows, letters) {left[:5]}"
        return True

    eventually(all_explained, f"each message is explained (seed {seed})", poll_s=0.5)
    ingest.wait_healthy()
    assert "cannot store" not in ingest.stderr() and ingest.stderr().count("started") == 1
    reasons = {reason for (reason,) in lab.database.query("SELECT DISTINCT reason FROM dead_letter")}
    assert any("too hot" in reason for reason in reasons) and len(reasons) > 10, reasons
    lab.end()
