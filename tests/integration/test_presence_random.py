"""Stops, deaths and starts in random order: what the centre retains of a node is what is true."""

import json
import os
import random

import pytest

from harness import eventually
from harness.service import clean_env

NODE = "pi"
NAMES = ["a", "b", "c", "d"]
STEPS = 14
SEEDS = os.environ.get("PRESENCE_SEEDS", "1 5").split()


STARTED = 'msg="started"'


def start(service):
    """Until it can be stopped again."""
    before = service.stderr().count(STARTED)
    service.start(healthy=False)
    eventually(lambda: service.stderr().count(STARTED) > before, "it is started")


class Node:
    """A node's broker, publisher and two samplers, and what must be true of its names."""

    def __init__(self, lab, central, rng):
        self.rng = rng
        self.local = lab.broker()
        self.publisher = lab.publisher(self.local, central, node=NODE)
        self.samplers = [
            lab.sampler(self.local, self.sensors(names), PERIOD_MS=100) for names in ("ab", "c")
        ]
        self.names = ["ab", "c"]  # of each sampler, since its last start
        self.owner = {"a": 0, "b": 0, "c": 1}  # as far as the centre can know
        self.broker_up = True
        self.said_goodbye = False  # the publisher
        self.begin_round()

    def begin_round(self):
        """Names of those that run now, or did for a moment: they may have been heard."""
        self.heard = {
            name: which
            for which, sampler in enumerate(self.samplers)
            if sampler.running()
            for name in self.names[which]
        }

    @staticmethod
    def sensors(names):
        return ",".join(f"{name}=sim@{ord(name)}" for name in names)

    def _start_sampler(self, which):
        """With names that the other one does not have."""
        others = self.names[1 - which]
        free = [name for name in NAMES if name not in others]
        names = "".join(sorted(self.rng.sample(free, self.rng.randint(1, len(free)))))
        sampler = self.samplers[which]
        sampler.env = clean_env({**sampler.settings, "SENSORS": self.sensors(names)})
        start(sampler)
        self.names[which] = names
        self.heard.update(dict.fromkeys(names, which))

    def step(self):
        """One thing happens to one part. @return what, for a failure's report"""
        part = self.rng.choice(["broker", "publisher", "sampler", "sampler", "sampler"])
        how = self.rng.choice(["stop", "kill"])
        if part == "broker":
            self.broker_up = not self.broker_up
            (self.local.start if self.broker_up else self.local.kill)()
            return f"broker up={self.broker_up}"
        which = self.rng.randrange(2)
        service = self.publisher if part == "publisher" else self.samplers[which]
        if service.running():
            getattr(service, how)()
            if part == "publisher":
                self.said_goodbye = how == "stop"
            return f"{how} {service.settings['INSTANCE']}"
        if part == "publisher":
            start(service)
        else:
            self._start_sampler(which)
        return f"start {service.settings['INSTANCE']} {self.names}"

    def here(self, which):
        return self.broker_up and self.samplers[which].running()

    def is_true(self, status):
        """Whether this is what is so: online is here, offline is gone, left is cleared."""
        for which, names in enumerate(self.names):
            if self.here(which):
                self.owner.update(dict.fromkeys(names, which))
        for name, which in list(self.owner.items()):
            if self.here(which) and name not in self.names[which]:
                del self.owner[name]
        wanted = {name: self.here(which) for name, which in self.owner.items()}
        for name, which in self.heard.items():
            if name not in wanted and name in status and not self.here(which):
                self.owner[name] = which
                wanted[name] = False
        found = {name: payload == b"online" for name, payload in status.items()}
        assert found == wanted, (found, wanted)
        return True


class Centre:
    """What is retained there, as somebody sees who has just come."""

    def __init__(self, lab, central):
        self.lab, self.central = lab, central
        self.watcher = lab.client(central)
        self.watcher.subscribe(f"state/{NODE}/+")

    def retained(self):
        client = self.lab.client(self.central)
        for topic in (f"state/{NODE}/+", f"status/{NODE}/+", f"status/{NODE}"):
            client.subscribe(topic)
        client.wait_message(f"status/{NODE}")
        found = {"state": {}, "status": {}}
        for message in client.messages():
            kind, _, name = message.topic.partition(f"/{NODE}")
            found[kind][name.strip("/")] = message.payload
        client.close()
        self.lab.clients.remove(client)
        node = found["status"].pop("")
        return node, found["status"], set(found["state"])

    def check_order(self):
        """No state was ever followed by an older one."""
        for name in NAMES:
            shown = [json.loads(m.payload)["time"] for m in self.watcher.messages(f"state/{NODE}/{name}") if m.payload]
            assert shown == sorted(shown), name


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_retained_is_true(lab, central, seed):
    """After each step: who is here is online, who is gone is offline, what has left is cleared."""
    lab.ingest(central)
    node, centre = Node(lab, central, random.Random(int(seed))), Centre(lab, central)
    history = []

    def is_true():
        online, status, states = centre.retained()
        if not node.publisher.running():
            # Nobody is there to say more; the node's own status outranks its sensors'.
            assert online == b"offline"
            return not (node.said_goodbye and b"online" in status.values())
        assert online == b"online" and node.is_true(status)
        assert states <= set(status), (states, status)
        return True

    eventually(is_true, "it is true at the start", poll_s=0.3)
    for _ in range(STEPS):
        node.begin_round()
        for _ in range(node.rng.randint(1, 2)):
            history.append(node.step())
        eventually(is_true, f"it is true after {history}", poll_s=0.3)
    centre.check_order()
