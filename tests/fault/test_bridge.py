"""The honest comparison: the same faults against a mosquitto bridge and a QoS 1 subscriber.

It measures, and asserts only that something flowed: what a bridge loses is in the table.
The sender is paho with QoS 1; `accepted` is what the node's broker acknowledged to it. Both
brokers keep their state on disk; `tuned` saves it every second and has room for a million
messages in its queues.
"""

import sqlite3
import sys
import time
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from fault.verdict import Verdict
from harness import eventually
from harness.broker import HOST
from harness.process import Process

DEFAULT = []
TUNED = ["max_queued_messages 1000000", "max_inflight_messages 1000", "autosave_interval 1"]


def bridged(lab, variant):
    """(node's broker, central broker), the first forwarding data/# to the second."""
    central = lab.broker(start=False)
    local = lab.broker(start=False)
    common = ["user root", "allow_anonymous true", "persistence true", "log_dest stderr", *variant]
    for broker, more in (
        (central, []),
        (
            local,
            [
                "connection centre",
                f"address {HOST}:{central.port}",
                "topic data/# out 1",
                "cleansession false",
                "restart_timeout 1",
            ],
        ),
    ):
        lines = [f"listener {broker.port} {HOST}", f"persistence_location {broker.directory}/"]
        config = broker.directory / "mosquitto.conf"
        config.write_text("\n".join(common[:1] + lines + common[1:] + more) + "\n")
    central.start()
    local.start()
    return local, central


class Sender:
    """About 1,000 messages a second, numbered, QoS 1."""

    def __init__(self, port, count):
        self.count = count
        self.sent = 0
        self.accepted = set()
        self.numbers = {}
        self.client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id="sender",
            protocol=mqtt.MQTTv5,
        )
        self.client.max_queued_messages_set(0)
        self.client.max_inflight_messages_set(1000)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_publish = lambda _client, _data, mid, *_: self.accepted.add(
            self.numbers.get(mid, 0)
        )
        self.client.connect(HOST, port)
        self.client.loop_start()

    def send_until(self, number):
        while self.sent < min(number, self.count):
            self.sent += 1
            info = self.client.publish("data/bench", str(self.sent), qos=1)
            self.numbers[info.mid] = self.sent
            if self.sent % 10 == 0:
                time.sleep(0.01)  # the rate of the measurement, not a wait for anything

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class Comparison:
    def __init__(self, run, variant):
        self.run = run
        self.local, self.central = bridged(run.lab, variant)
        self.path = run.lab.directory / "subscriber.db"
        program = Path(__file__).with_name("subscriber.py")
        command = [sys.executable, program, self.central.port, self.path]
        self.subscriber = Process("subscriber", command, run.lab.directory / "subscriber", None)
        run.lab.services.append(self.subscriber)
        self.subscriber.spawn()
        eventually(self.path.exists, "the subscriber runs")
        self.sender = Sender(self.local.port, run.count)

    def stored(self):
        connection = sqlite3.connect(self.path)
        try:
            return [value for (value,) in connection.execute("SELECT value FROM reading")]
        finally:
            connection.close()

    def finish(self):
        """Send the rest, wait until nothing comes any more, print the row."""
        self.sender.send_until(self.run.count)
        last = [0, time.monotonic()]

        def still():
            stored = len(self.stored())
            if stored != last[0]:
                last[:] = [stored, time.monotonic()]
            return time.monotonic() - last[1] > 15

        eventually(still, "nothing comes any more", 240, poll_s=0.5)
        self.sender.close()
        stored = self.stored()
        accepted = self.sender.accepted - {0}
        self.run.row(
            Verdict(
                sent=self.sender.sent,
                accepted=len(accepted),
                stored=len(set(stored)),
                duplicates=len(stored) - len(set(stored)),
                missing=len(accepted - set(stored)),
            )
        )
        assert stored, "nothing flowed"


def outage(c, half):
    c.central.kill()
    c.sender.send_until(half + c.run.seconds(10) * 1000)
    c.central.start()


def outage_and_node_killed(c, half):
    c.central.kill()
    c.sender.send_until(half + c.run.seconds(5) * 1000)
    c.local.kill()
    c.local.start()
    c.sender.send_until(half + c.run.seconds(10) * 1000)
    c.central.start()


def central_killed_subscriber_stopped(c, half):
    c.subscriber.freeze()
    c.sender.send_until(half + c.run.seconds(5) * 1000)
    c.central.kill()
    c.subscriber.kill()
    c.central.start()
    c.subscriber.spawn()


def subscriber_killed(c, _half):
    c.subscriber.kill()
    c.subscriber.spawn()


def node_killed(c, _half):
    c.local.kill()
    c.local.start()


FAULTS = [outage, outage_and_node_killed, central_killed_subscriber_stopped]
FAULTS += [subscriber_killed, node_killed]


@pytest.mark.bridge
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("variant", ["default", "tuned"])
def test_bridge(run, fault, variant):
    run.name = f"bridge ({variant}): {fault.__name__.replace('_', ' ')}"
    comparison = Comparison(run, TUNED if variant == "tuned" else DEFAULT)
    comparison.sender.send_until(run.count // 4)
    fault(comparison, run.count // 4)
    comparison.finish()
