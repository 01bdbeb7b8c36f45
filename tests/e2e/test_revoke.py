"""`make revoke` of one among many boards that send: it is out, alive and anew, and nobody else
notices. REVOKE_SESSIONS says among how many; `make test-identity` has 100."""

import os
import socket
import threading
import time

import pytest
from town import TLS, Town
from wire import Ended, tls

from harness.wait import eventually

SESSIONS = int(os.environ.get("REVOKE_SESSIONS") or 20)
VICTIM = "board-1"
REVOKED = "TLS: alert certificate revoked"


def free_port():
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


class Sender(threading.Thread):
    """One board: a reading after the other, each when the one before is acknowledged."""

    def __init__(self, town, name):
        super().__init__(daemon=True)
        self.name, self.sent, self.ended, self.why = name, 0, None, None
        self._stop = threading.Event()
        self._wire = town.enter(name, name)

    def run(self):
        try:
            while not self._stop.wait(0.1):
                value = b'{"temperature":%d}' % (self.sent + 1)
                said = self._wire.publish(f"/data/{self.name}", value)
                assert said == "granted", said
                self.sent += 1
        except (Ended, AssertionError) as end:
            self.ended, self.why = time.monotonic(), str(end)

    def stop(self):
        self._stop.set()
        self.join(30)


class Knocking(threading.Thread):
    """Comes to the door with a certificate again and again, until it is refused."""

    def __init__(self, town, name):
        super().__init__(daemon=True)
        self._town, self._context = town, tls(town.ca, town.pair(name))
        self.tries, self.refused, self.gave_up = 0, None, threading.Event()

    def run(self):
        while self.refused is None and not self.gave_up.is_set():
            self.tries += 1
            if knock(self._town, self._context) == REVOKED:
                self.refused = time.monotonic()


def knock(town, context):
    """What it says; two bytes that are no MQTT take nobody's session."""
    try:
        with town.wire(TLS, context) as wire:
            wire.send(b"\0\0")
            wire.next()
    except Ended as end:
        return str(end)
    return "it goes on"


@pytest.fixture(scope="module")
def centre(new_stack, new_identities):
    boards = [f"board-{i}" for i in range(1, SESSIONS + 1)]
    identities = new_identities("revoke", nodes=boards)
    stack = new_stack("revoke", "broker.yml", MQTTS_PORT=free_port(), **identities.broker())
    stack.up()
    stack.all_healthy()
    stack.identities, stack.boards = identities, boards
    return stack


@pytest.fixture(scope="module")
def town(centre, tmp_path_factory):
    return Town(centre.identities, centre, centre, tmp_path_factory.mktemp("town"))


def revoke(centre, name):
    return centre.identities.run("revoke", name, project=centre.project, check=False)


def test_one_of_many(centre, town):
    senders = {name: Sender(town, name) for name in centre.boards}
    for sender in senders.values():
        sender.start()
    knocking = Knocking(town, VICTIM)
    eventually(lambda: all(sender.sent for sender in senders.values()), "all send", 60)
    knocking.start()
    eventually(lambda: knocking.tries > 1, "the victim's certificate is let in")
    begin = time.monotonic()
    result = revoke(centre, VICTIM)
    told = time.monotonic()
    assert result.returncode == 0, result.stderr
    victim = senders.pop(VICTIM)
    eventually(lambda: victim.ended, "the victim's session has ended")
    eventually(lambda: knocking.refused, "a new connection is refused")
    before = {name: sender.sent for name, sender in senders.items()}
    eventually(
        lambda: all(sender.ended or sender.sent > before[name] + 3 for name, sender in senders.items()),
        "the others go on",
    )
    for sender in senders.values():
        sender.stop()
    assert {name: sender.why for name, sender in senders.items() if sender.ended} == {}
    senders[VICTIM] = victim
    stored_once(centre, senders.values())
    print(
        f"\nrevoke, {SESSIONS} sessions: after {knocking.refused - begin:.2f} s new connections were refused,"
        f" after {victim.ended - begin:.2f} s the session had ended, after {told - begin:.2f} s the command"
    )


def stored_once(centre, senders):
    """What was acknowledged, and at most the one more that was on its way."""

    def stored():
        rows = centre.query("SELECT topic, count(*), count(DISTINCT temp), max(temp) FROM dht GROUP BY topic")
        found = {topic: [int(float(n)) for n in numbers] for topic, *numbers in rows}
        for sender in senders:
            count, distinct, newest = found.get(f"/data/{sender.name}", [0, 0, 0])
            assert count == distinct == newest, (sender.name, count, distinct, newest)
            assert count in (sender.sent, sender.sent + 1), (sender.name, count, sender.sent)
        return True

    eventually(stored, "each reading is stored once", 60)


def test_a_list_that_cannot_be_read(centre, town):
    """Then the broker would let the revoked in: the command finds it, says so and fails."""
    name = "board-2"
    context = tls(town.ca, town.pair(name))
    # Wrong owners are put right by the command itself.
    centre.identities.sh("cd broker/mosquitto && rm crl.pem && mkdir crl.pem")
    result = revoke(centre, name)
    assert result.returncode == 1
    [line] = result.stderr.splitlines()
    assert f"still lets {name}'s certificate in" in line and "crl.pem" in line
    assert knock(town, context) == "closed"
    centre.identities.sh("rm -r broker/mosquitto/crl.pem")
    result = revoke(centre, name)
    assert result.returncode == 0, result.stderr
    assert knock(town, context) == REVOKED
