"""Commands among random stops, deaths and starts: each is answered, and what is refused is not done.

OUTPUTS_SEEDS says how many orders are played (or which: `7-9`), by default two.
"""

import json
import os
import random
import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from harness import eventually
from harness.gpio import Chip

NODE = "pi"
STEPS = 30
WAIT_S = 60.0


def seeds():
    text = os.environ.get("OUTPUTS_SEEDS", "2")
    first, dash, last = text.partition("-")
    return range(int(first), int(last) + 1) if dash else range(1, int(text) + 1)


class Command:
    """What was sent, and what may have become of it."""

    def __init__(self, topic, output, value, expiry):
        self.topic, self.output, self.value = topic, output, value
        self.until = time.monotonic() + expiry if expiry else None
        self.forgotten = False  # the publisher was killed before it was answered
        self.again = 0  # how often the broker at the centre may have delivered it once more
        self.answers = []

    def done(self):
        return sum("value" in answer for answer in self.answers)

    def unknown(self):
        """Whether nobody can say if it was carried out."""
        errors = [answer["error"] for answer in self.answers if "error" in answer]
        return self.forgotten or not self.answers or any("not known" in error for error in errors)

    def settled(self):
        """Answered, expired, or forgotten with its publisher."""
        return self.answers or self.forgotten or (self.until and time.monotonic() > self.until)


class Orders:
    """The services, the commands, and one random step after the other."""

    def __init__(self, lab, chip, seed):
        self.random = random.Random(seed)
        self.commands = []
        self.local, self.central = lab.broker(), lab.broker()
        self.lines = {"set": chip.line(1), "pulse": chip.line(2)}
        self.publisher = lab.publisher(self.local, self.central, node=NODE)
        outputs = ",".join(f"{name}=gpio@{line.name}" for name, line in self.lines.items())
        self.sampler = lab.sampler(self.local, "climate=sim@1", OUTPUTS=outputs, GPIO_FAKE=chip.root)
        self.client = lab.client(self.central)
        self.client.subscribe("reply/#")
        self.client.subscribe(f"state/{NODE}/+")

    def collect(self):
        """The answers so far."""
        by_topic = {command.topic: command for command in self.commands}
        for command in self.commands:
            command.answers = []
        for message in self.client.messages():
            if message.topic in by_topic:
                by_topic[message.topic].answers.append(json.loads(message.payload))

    def open(self):
        self.collect()
        return [command for command in self.commands if not command.settled()]

    def send(self):
        output = self.random.choice(["set", "set", "pulse", "pulse", "climate", "nobodys"])
        value = 1 if output == "pulse" else self.random.randrange(2)
        payload = {"value": value, **({"for_ms": self.random.randint(1, 300)} if output == "pulse" else {})}
        expiry = self.random.choice([None, None, 1, 3])
        properties = Properties(PacketTypes.PUBLISH)
        topic = f"reply/{len(self.commands)}"
        properties.ResponseTopic = topic
        properties.CorrelationData = topic.encode()
        if expiry:
            properties.MessageExpiryInterval = expiry
        # Kept before it is sent: what is killed meanwhile may have it.
        self.commands.append(Command(topic, output, value, expiry))
        self.client.publish(f"cmd/{NODE}/{output}/set", json.dumps(payload), properties=properties)

    def send_many(self):
        for _ in range(self.random.randint(1, 6)):
            self.send()

    def turn(self, service):
        """Start what is down; kill or stop what runs."""
        if not service.running():
            service.start(healthy=False)
            return
        kill = self.random.random() < 0.5
        self.collect()
        for command in self.commands:
            if service is self.publisher and not command.answers:
                command.again += 1
                command.forgotten = command.forgotten or kill
        if kill:
            service.kill()
        else:
            status, _ = service.terminate(30)
            assert status in (0, -15), f"{service.name}: {status}"  # -15: it had hardly begun

    def turn_broker(self):
        if self.local.process.running():
            self.local.kill()
        else:
            self.local.start()

    def stick(self):
        """The line of the pulses does not follow for a while: they are refused, and have no end."""
        stuck = self.lines["pulse"].folder / "stuck"
        if stuck.exists():
            stuck.unlink()
        else:
            stuck.touch()

    def all_up(self):
        if not self.local.process.running():
            self.local.start()
        for service in (self.publisher, self.sampler):
            if not service.running():
                service.start(healthy=False)
        for service in (self.publisher, self.sampler):
            service.wait_healthy()

    def step(self):
        self.random.choice(
            [
                self.send_many,
                self.send_many,
                self.send_many,
                lambda: self.turn(self.publisher),
                lambda: self.turn(self.sampler),
                lambda: self.turn(self.sampler),
                self.turn_broker,
                self.stick,
                self.all_up,
            ]
        )()


@pytest.mark.parametrize("seed", seeds())
def test_every_command_is_answered_or_expires(lab, tmp_path, seed):
    """Whatever was killed, stopped and started in whatever order; and no refused one was done."""
    orders = Orders(lab, Chip(tmp_path / "gpio", "pinctrl-test"), seed)
    for _ in range(STEPS):
        orders.step()
    (orders.lines["pulse"].folder / "stuck").unlink(missing_ok=True)
    orders.all_up()
    ours = [command for command in orders.commands if command.output in orders.lines]
    eventually(lambda: not [c for c in orders.open() if c in ours], "all for outputs are settled", WAIT_S)
    # A pulse is over, and a command that waited for nobody is refused at the stop.
    eventually(lambda: orders.lines["pulse"].value() == "0", "no pulse goes on", WAIT_S)
    orders.publisher.stop()
    eventually(lambda: not orders.open(), "all are settled", WAIT_S)

    twice = [c.topic for c in orders.commands if len(c.answers) > 1 and not c.forgotten]
    assert not twice, "answered twice"
    done = [c.topic for c in orders.commands if c.output not in orders.lines and c.done()]
    assert not done, "done by nobody"
    for output, line in orders.lines.items():
        ones = [c for c in ours if c.output == output and c.value == 1]
        driven = line.driven().count("1")
        sure = sum(1 for c in ones if c.done())
        most = sum(max(c.done(), 1) + c.again for c in ones if c.done() or c.unknown())
        told = "\n".join(f"{c.topic} {c.value} forgotten={c.forgotten} {c.answers}" for c in ones)
        assert driven <= most, f"{output} was driven to {line.driven()}\n{told}"
        # A line that is stuck at 1 takes a pulse without being driven.
        assert sure <= driven or output == "pulse", f"{output} was driven to {line.driven()}\n{told}"
