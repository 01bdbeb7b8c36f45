"""Outputs: from cmd/<node>/<output>/set to the line and back, over chips made of files."""

import json
import time

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from harness import eventually
from harness.client import publish_properties
from harness.gpio import Chip
from harness.service import ROOT, run_service

NODE = "pi"


@pytest.fixture
def chip(tmp_path):
    return Chip(tmp_path / "gpio", "pinctrl-test")


@pytest.fixture
def line(chip):
    return chip.line(17)


def time_passes(seconds):
    """What is waited for is the time itself: an expiry."""
    end = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= end, "the time is over")


class Node:
    """A node with an output, and somebody at the centre who commands it."""

    def __init__(self, lab, local, central, chip, outputs, sensors="", **settings):
        self.lab, self.local, self.central = lab, local, central
        self.publisher = lab.publisher(local, central, node=NODE, **settings.pop("publisher", {}))
        self.sampler = lab.sampler(local, sensors, OUTPUTS=outputs, GPIO_FAKE=chip.root, **settings)
        self.client = lab.client(central)
        self.client.subscribe("reply/#")
        self.client.subscribe(f"state/{NODE}/#")
        self.client.subscribe(f"status/{NODE}/#")
        self.n = 0

    def state(self, output="fan"):
        """The last value that was published, or None."""
        messages = self.client.messages(f"state/{NODE}/{output}")
        return json.loads(messages[-1].payload)["value"] if messages else None

    def status(self, output="fan"):
        messages = self.client.messages(f"status/{NODE}/{output}")
        return messages[-1].payload.decode() if messages else None

    def send(self, payload, output="fan", expiry=None, reply=True, correlation=None, retain=False):
        """A command; returns where its answer will come."""
        self.n += 1
        properties = Properties(PacketTypes.PUBLISH)
        if expiry is not None:
            properties.MessageExpiryInterval = expiry
        if reply:
            properties.ResponseTopic = f"reply/{self.n}"
        properties.CorrelationData = correlation or f"c{self.n}".encode()
        payload = payload if isinstance(payload, str) else json.dumps(payload)
        self.client.publish(f"cmd/{NODE}/{output}/set", payload, retain=retain, properties=properties)
        return f"reply/{self.n}"

    def command(self, payload, **options):
        """A command's answer, as a dictionary; its correlation data is checked."""
        topic = self.send(payload, **options)
        message = self.client.wait_message(topic)
        assert message.properties.CorrelationData == (
            options.get("correlation") or f"c{self.n}".encode()
        )
        return json.loads(message.payload)


@pytest.fixture
def node(lab, local, central, chip, line):
    node = Node(lab, local, central, chip, f"fan=gpio@{line.name}")
    eventually(lambda: node.state() == 0, "its first state is at the centre")
    return node


def test_a_command_sets_the_line(node, line):
    """The line is set, its state is retained with a time, the answer has the correlation data."""
    assert line.value() == "0"
    eventually(lambda: node.status() == "online", "it is online")
    answer = node.command({"value": 1})
    assert answer["value"] == 1 and answer["time"] > 1.7e9
    assert line.value() == "1"
    eventually(lambda: node.state() == 1, "the state follows")
    late = node.lab.client(node.central)
    late.subscribe(f"state/{NODE}/fan")
    message = late.wait_message(f"state/{NODE}/fan")
    assert message.retain and json.loads(message.payload)["value"] == 1
    for payload, level in (("OFF", "0"), ("on", "1"), ("0", "0"), ({"value": "ON"}, "1")):
        assert node.command(payload)["value"] == int(level)
        assert line.value() == level


def test_what_is_no_command_is_refused(node, line):
    """The reason is in the answer, and nothing moves."""
    driven = line.driven()
    for payload in ("", "2", "{", {"value": 2}, {"valeu": 1}, {"value": 1, "for_ms": 0}, "x" * 2000):
        assert "error" in node.command(payload), payload
    assert "expired" in node.command({"value": 1, "expires": 1000.0})["error"]
    assert line.driven() == driven


def test_a_retained_command_is_not_carried_out(lab, local, central, chip, line):
    """What waits at the broker as retained is not a command for whoever comes."""
    client = lab.client(central)
    client.publish(f"cmd/{NODE}/fan/set", '{"value":1}', retain=True)
    node = Node(lab, local, central, chip, f"fan=gpio@{line.name}")
    eventually(lambda: "it is retained" in node.publisher.stderr(), "it is refused")
    assert node.command({"value": 0})["value"] == 0
    assert line.driven() == "00"


def test_a_retained_command_at_the_nodes_own_broker(lab, local, central, chip, line):
    """The same where somebody on the board writes to local/cmd/ by hand."""
    lab.client(local).publish("local/cmd/fan", "1", retain=True)
    node = Node(lab, local, central, chip, f"fan=gpio@{line.name}")
    eventually(lambda: "it is retained" in node.sampler.stderr(), "it is refused")
    assert node.command({"value": 0})["value"] == 0
    assert line.driven() == "00"


def test_a_pulse(node, line):
    """The value for so long, then the one before; the same pulse delivered twice is one."""
    assert node.command({"value": 1, "for_ms": 200}, correlation=b"p1")["value"] == 1
    eventually(lambda: line.driven() == "010", "it goes back")
    eventually(lambda: node.state() == 0, "the state says so")
    assert node.command({"value": 1, "for_ms": 200}, correlation=b"p1")["value"] == 0
    assert node.command({"value": 1, "for_ms": 200}, correlation=b"p2")["value"] == 1
    eventually(lambda: line.driven() == "01010", "only the new one pulsed")


def test_a_command_ends_a_pulse(node, line):
    """A pulse of an hour is over when somebody says otherwise."""
    node.command({"value": 1, "for_ms": 3600000})
    assert node.command({"value": 1})["value"] == 1
    assert node.command({"value": 1, "for_ms": 100})["value"] == 1
    eventually(lambda: line.driven().endswith("1111"), "back to 1, not to 0")


def test_initial_values_without_a_glitch(lab, local, central, chip):
    """From the first instant the line has its initial level, and only that."""
    lines = [chip.line(n) for n in range(4)]
    lines[2].drive(1)
    outputs = (
        f"a=gpio@{lines[0].name},initial=1,b=gpio@{lines[1].name},active-low=1,"
        f"c=gpio@{lines[2].name},initial=keep,d=gpio@{lines[3].name},initial=keep"
    )
    node = Node(lab, local, central, chip, outputs)
    eventually(lambda: [node.state(n) for n in "abcd"] == [1, 0, 1, 0], "the states")
    assert [line.driven() for line in lines] == ["1", "1", "1", "0"]


def test_values_at_exit(lab, local, central, chip):
    """SIGTERM: exit= says what remains; it is published, and the output is offline."""
    lines = [chip.line(n) for n in range(3)]
    outputs = ",".join(
        f"{name}=gpio@{line.name},exit={level}" for name, line, level in zip("abc", lines, ("0", "1", "keep"))
    )
    node = Node(lab, local, central, chip, outputs)
    for name in "abc":
        node.command({"value": 1}, output=name)
    node.sampler.stop()
    assert [line.value() for line in lines] == ["0", "1", "1"]
    eventually(lambda: [node.state(n) for n in "abc"] == [0, 1, 1], "the states")
    eventually(lambda: [node.status(n) for n in "abc"] == ["offline"] * 3, "all are offline")


def test_a_stop_ends_a_pulse(lab, local, central, chip, line):
    """exit=keep keeps what was before the pulse, not the pulse."""
    node = Node(lab, local, central, chip, f"valve=gpio@{line.name},exit=keep")
    node.command({"value": 1, "for_ms": 3600000}, output="valve")
    assert line.value() == "1"
    node.sampler.stop()
    assert line.value() == "0"


def test_a_kept_level_of_a_chip_that_comes_late(lab, local, central, chip, line):
    """initial=keep: as the chip has it when it comes, and so again when it goes and comes back."""
    chip.vanish()
    node = Node(lab, local, central, chip, f"fan=gpio@{line.name},initial=keep")
    eventually(lambda: node.status() == "offline", "it is offline")
    chip.appear()
    chip.line(17).drive(1)
    eventually(lambda: node.state() == 1, "it is kept", 20)
    chip.vanish()
    eventually(lambda: node.status() == "offline", "it is offline again", 20)
    chip.appear()
    again = chip.line(17)
    eventually(lambda: node.status() == "online", "it is back", 20)
    assert again.value() == "1"


def test_the_publisher_is_lost(lab, local, central, chip):
    """lost= after lost-after=; what has no lost= stays."""
    lines = [chip.line(n) for n in range(3)]
    outputs = (
        f"a=gpio@{lines[0].name},lost=0,lost-after=300ms,b=gpio@{lines[1].name},"
        f"c=gpio@{lines[2].name},lost=0,lost-after=1h"
    )
    node = Node(lab, local, central, chip, outputs)
    for name in "abc":
        node.command({"value": 1}, output=name)
    node.publisher.kill()
    eventually(lambda: lines[0].value() == "0", "the fan is off")
    assert (lines[1].value(), lines[2].value()) == ("1", "1")
    node.publisher.start()
    eventually(lambda: node.state("a") == 0, "the centre hears of it")
    assert node.command({"value": 1}, output="a")["value"] == 1
    assert lines[0].driven().endswith("101")


def test_the_publisher_is_back_in_time(lab, local, central, chip, line):
    """Before lost-after= is over: nothing changes, then or later."""
    node = Node(lab, local, central, chip, f"fan=gpio@{line.name},lost=0,lost-after=4s")
    node.command({"value": 1})
    node.publisher.restart()
    node.command({"value": 1})
    time_passes(4)
    assert node.command({"value": 1})["value"] == 1
    assert line.driven() == "0111"


def test_an_expired_command_is_never_carried_out(node, line):
    """The publisher is frozen beyond the expiry: what waited in its socket is refused."""
    node.publisher.freeze()
    late = node.send({"value": 1}, expiry=1)
    kept = node.send({"value": 0}, expiry=600)
    time_passes(3)
    node.publisher.thaw()
    assert json.loads(node.client.wait_message(kept).payload)["value"] == 0
    assert "expired" in json.loads(node.client.wait_message(late).payload)["error"]
    assert "1" not in line.driven()


def test_an_expired_command_at_a_frozen_sampler(node, line):
    """The same with the sampler: the time since boot decides."""
    node.sampler.freeze()
    late = node.send({"value": 1}, expiry=1)
    time_passes(3)
    node.sampler.thaw()
    assert "expired" in json.loads(node.client.wait_message(late).payload)["error"]
    assert "1" not in line.driven()


def test_a_command_survives_a_restart(node, line):
    """The publisher is away for a moment: the command waits at the broker and is carried out."""
    node.publisher.kill()
    topic = node.send({"value": 1}, expiry=60)
    node.publisher.start()
    assert json.loads(node.client.wait_message(topic).payload)["value"] == 1
    assert line.value() == "1"


def test_the_nodes_broker_is_away(node, line):
    """A command waits for it, and is carried out when it is back."""
    node.local.kill()
    eventually(lambda: node.publisher.health()[0] != 0, "the publisher misses it")
    topic = node.send({"value": 1}, expiry=60)
    node.local.start()
    assert json.loads(node.client.wait_message(topic).payload)["value"] == 1
    assert line.value() == "1"


def test_the_sampler_is_away(node, line):
    """A command waits for it; one for an output that nobody has expires, and its sender is told."""
    node.sampler.kill()
    eventually(lambda: node.status() == "offline", "it is missed")
    topic = node.send({"value": 1}, expiry=60)
    nobodys = node.send({"value": 1}, output="fna", expiry=1)
    assert "expired" in json.loads(node.client.wait_message(nobodys).payload)["error"]
    node.sampler.start()
    assert json.loads(node.client.wait_message(topic).payload)["value"] == 1
    assert line.value() == "1"


def test_too_many_commands_wait(node):
    """The thirty-third is refused at once."""
    topics = [node.send({"value": 1}, output=f"nobodys-{n}", expiry=600) for n in range(33)]
    answer = json.loads(node.client.wait_message(topics[-1]).payload)
    assert "too many" in answer["error"]
    assert all(node.client.messages(topic) == [] for topic in topics[:-1])


def test_a_name_that_nobody_listens_to_is_refused_at_a_stop(lab, local, central, chip, line):
    """A sensor's name and a word that is retained are no listeners; the callers hear of the stop."""
    stale = lab.client(local)
    stale.publish("local/status/ghost", "online", retain=True)
    stale.publish(
        "local/listening/ghost", "x", retain=True, properties=publish_properties(user=[("sampler", "x")])
    )
    node = Node(lab, local, central, chip, f"fan=gpio@{line.name}", sensors="climate=sim@1")
    node.command({"value": 0})
    topics = [node.send({"value": 1}, output=name) for name in ("climate", "ghost", "nobodys")]
    node.command({"value": 0})
    assert all(node.client.messages(topic) == [] for topic in topics)
    node.publisher.stop()
    for topic in topics:
        assert json.loads(node.client.wait_message(topic).payload) == {"error": "the publisher stops"}


def test_a_sampler_that_dies_with_a_command(node, line):
    """It was sent and is not answered: the caller is told, once, that nobody knows."""
    node.sampler.freeze()
    topic = node.send({"value": 1})
    sent = node.send({"value": 1}, output="nobodys", expiry=1)
    node.client.wait_message(sent)  # what was sent before it has been passed on
    node.sampler.kill()
    assert "not known" in json.loads(node.client.wait_message(topic).payload)["error"]
    node.sampler.start()
    assert node.command({"value": 0})["value"] == 0
    assert len(node.client.messages(topic)) == 1 and "1" not in line.driven()


def test_a_stop_with_a_command_under_way(node):
    """The publisher stops before the sampler has answered."""
    node.sampler.freeze()
    topic = node.send({"value": 1})
    node.client.wait_message(node.send({"value": 1}, output="nobodys", expiry=1))
    node.publisher.stop()
    node.sampler.thaw()
    assert "the publisher stops" in json.loads(node.client.wait_message(topic).payload)["error"]


def test_an_answer_after_the_publishers_death(node, line):
    """The next publisher passes it on."""
    node.sampler.freeze()
    topic = node.send({"value": 1})
    node.client.wait_message(node.send({"value": 1}, output="nobodys", expiry=1))
    node.publisher.restart()
    node.sampler.thaw()
    assert json.loads(node.client.wait_message(topic).payload)["value"] == 1
    assert line.value() == "1"


def test_an_output_that_left_the_settings(node, lab):
    """Its sampler comes back without it: the command waits, and is not swallowed."""
    node.sampler.stop()
    node.sampler.env["OUTPUTS"] = f"lamp={node.sampler.env['OUTPUTS'].partition('=')[2]}"
    node.sampler.start()
    assert node.command({"value": 1}, output="lamp")["value"] == 1
    topic = node.send({"value": 1}, expiry=1)
    assert "expired" in json.loads(node.client.wait_message(topic).payload)["error"]


def test_a_line_that_does_not_follow(node, line):
    """The answer is an error and the state is what was read back, not what was wanted."""
    line.stick()
    assert "follow" in node.command({"value": 1})["error"]
    eventually(lambda: node.state() == 0, "the state is the truth")
    assert "does not follow" in node.sampler.stderr()


def test_a_chip_that_vanishes(node, chip, line):
    """It comes back by itself at the level it had; what was refused meanwhile is not done."""
    node.command({"value": 1})
    chip.vanish()
    assert "cannot be used" in node.command({"value": 0})["error"]
    assert "error" in node.command({"value": 0, "for_ms": 3600000}, correlation=b"p1")
    eventually(lambda: node.status() == "offline", "it is offline")
    chip.appear()
    again = chip.line(17)
    eventually(lambda: node.status() == "online", "it is back", 20)
    assert again.driven() == "1"
    assert node.command({"value": 0, "for_ms": 100}, correlation=b"p1")["value"] == 0
    eventually(lambda: again.driven() == "101", "the pulse that had failed is not taken for done")


def test_a_killed_sampler_is_offline(node):
    """Its last will: what it had is offline, and online again with it."""
    node.sampler.kill()
    eventually(lambda: node.status() == "offline", "offline")
    node.sampler.start()
    eventually(lambda: node.status() == "online", "online")


def test_a_sensors_availability(lab, local, central, chip):
    """A sensor that cannot be read is offline; when it can be read again it is online."""
    line = chip.line(4)
    node = Node(lab, local, central, chip, "", sensors=f"door=gpio-in@{line.name}", PERIOD_MS=50)
    eventually(lambda: node.status("door") == "online", "online")
    chip.vanish()
    eventually(lambda: node.status("door") == "offline", "offline")
    chip.appear()
    chip.line(4)
    eventually(lambda: node.status("door") == "online", "online again")


@pytest.mark.parametrize("topic", ["status/other/x", "/data/other", "cmd/other/fan/set"])
def test_answers_go_nowhere_that_is_ours(node, line, topic):
    """A response topic of the product's own would let others write there through us."""
    watcher = node.lab.client(node.central)
    watcher.subscribe(topic)
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = topic
    node.client.publish(f"cmd/{NODE}/fan/set", '{"value":1}', properties=properties)
    eventually(lambda: "may not go to that topic" in node.publisher.stderr(), "it is refused")
    assert node.command({"value": 0})["value"] == 0
    assert watcher.messages() == [] and "1" not in line.driven()


@pytest.mark.parametrize(
    ("outputs", "sensors", "reason"),
    [
        ("fan", "", "is neither name=driver@argument"),
        ("fan=gpoi@11", "", "did you mean gpio?"),
        ("fan=gpio@x:1,actve-low=1", "", "has no option actve-low"),
        ("fan=gpio@x:1,initial=2", "", "initial=2: there are 0 1 keep"),
        ("fan=gpio@x:1,lost-after=soon", "", "lost-after=soon: a duration"),
        ("fan=gpio@x:1,fan=gpio@x:2", "", "the name fan comes twice"),
        ("fan=gpio@x:1", "fan=sim@1", "fan is the name of a sensor"),
        ("fan=gpio@x:1,lamp=gpio@x:1", "", "lamp wants pin x:1, which fan has"),
        ("fan=gpio@x:1", "door=gpio-in@x:1", "fan wants pin x:1, which door has"),
        ("", "a=dht22@x:1,b=gpio-in@x:1", "b wants pin x:1, which a has"),
        ("", "", "there is none, and no OUTPUTS either"),
    ],
)
def test_bad_settings(outputs, sensors, reason, tmp_path):
    """Exit 78 with the reason, before anything moves."""
    done = run_service(
        "sampler", SENSORS=sensors, OUTPUTS=outputs, RUN_DIR=tmp_path, MQTT_URL="mqtt://127.0.0.1:1"
    )
    assert done.returncode == 78
    assert reason in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("pin", "reason"),
    [("2", "is power, 5V"), ("6", "is ground, GND"), ("99", "has no pin 99"), ("GPIO99", "has no pin GPIO99")],
)
def test_bad_pins(pin, reason, tmp_path):
    done = run_service(
        "sampler",
        OUTPUTS=f"fan=gpio@{pin}",
        BOARD="raspberrypi-4b",
        BOARDS_DIR=ROOT / "boards",
        RUN_DIR=tmp_path,
    )
    assert done.returncode == 78
    assert reason in done.stderr, done.stderr
