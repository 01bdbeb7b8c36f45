"""What the paper's scripts and other people's devices send to <prefix>/<node>."""

import json
import time

import pytest

from harness import eventually

pytestmark = pytest.mark.stores

TOPIC = "/data/thermometer"
SEEN_FIRST = {"probe": 1}


@pytest.fixture
def device(lab, central):
    """A client; ingest holds the plain lease and has subscribed."""
    lab.ingest(central)
    client = lab.client(central)

    def taken():
        client.publish("/data/probe", json.dumps(SEEN_FIRST))
        return lab.database.count() > 0

    eventually(taken, "plain messages are taken")
    return client


def stored(lab):
    """(sensor, ts_us, values) of what came under TOPIC."""
    return [r for r in lab.database.readings() if r[2] != SEEN_FIRST]


def in_the_present(ts_us):
    return abs(ts_us / 10**6 - time.time()) < 60


DHT = {"temperature": 24.8, "humidity": 60.6}

WITHOUT_TIME = {
    "object": (b'{"temperature":24.8,"humidity":60.6}', DHT),
    "other keys": (b'{"pressure":101325,"co2_ppm":415.5}', {"pressure": 101325, "co2_ppm": 415.5}),
    "paper": ("Temp=24.8°C, Humidity=60.6%".encode(), DHT),
    "paper without units": (b"Temp=24.8, Humidity=60.6", DHT),
    "paper below zero": ("Temp=-3.5°C, Humidity=9%".encode(), {"temperature": -3.5, "humidity": 9}),
    "senml without time": (
        b'[{"n":"temperature","u":"Cel","v":24.8},{"n":"humidity","u":"%RH","v":60.6}]',
        DHT,
    ),
}


def test_a_message_without_a_time_is_stamped_on_arrival(lab, device):
    """The three forms: stored under its topic, with no sensor name, at the present time."""
    for number, (name, (payload, values)) in enumerate(WITHOUT_TIME.items(), 1):
        device.publish(TOPIC, payload)
        eventually(lambda: len(stored(lab)) == number, f"{name} is stored")
        sensor, ts_us, got = max(stored(lab), key=lambda reading: reading[1])
        assert (sensor, got) == ("", values), name
        assert in_the_present(ts_us), name
    assert lab.database.dead_letters() == []
    assert TOPIC in lab.database.topics()


WITH_TIME = {
    "seconds": (1732312345, 1732312345000000),
    "fraction": (1732312345.25, 1732312345250000),
    "milliseconds": (1732312345678, 1732312345678000),
    "ISO 8601": ("2024-11-22T21:52:25Z", 1732312345000000),
    "ISO 8601 fraction": ("2024-11-22T21:52:25.5Z", 1732312345500000),
}


def test_a_message_with_a_time_keeps_it(lab, device):
    """Seconds, milliseconds and ISO 8601 UTC, as `time` or `timestamp`."""
    for number, (name, (text, ts_us)) in enumerate(WITH_TIME.items()):
        for key, value in (("time", number), ("timestamp", number + 100)):
            device.publish(TOPIC, json.dumps({"temperature": value, key: text}))
            wanted = ("", ts_us, {"temperature": value})
            eventually(lambda: wanted in stored(lab), f"{name} as {key}: {wanted}")
    assert len(stored(lab)) == 2 * len(WITH_TIME)
    assert lab.database.dead_letters() == []


def test_senml_may_name_its_sensor(lab, device):
    """The base name's sensor and absolute time are kept, several readings in one message."""
    device.publish(
        TOPIC,
        '[{"bn":"attic/","bt":1732312345.5,"n":"temperature","u":"Cel","v":1},'
        '{"bn":"cellar/","bt":1732312346,"n":"temperature","u":"Cel","v":2}]',
    )
    wanted = [
        ("attic", 1732312345500000, {"temperature": 1}),
        ("cellar", 1732312346000000, {"temperature": 2}),
    ]
    eventually(lambda: sorted(stored(lab)) == wanted, "both are stored")


def test_a_retained_message_is_not_stored_anew_by_each_restart(lab, central, device):
    """A retained plain message is one reading, however often ingest comes back."""
    device.publish(TOPIC, '{"temperature":7,"time":1732312345}', retain=True)
    eventually(lambda: stored(lab), "it is stored")

    def taken():
        device.publish("/data/probe", json.dumps(SEEN_FIRST))
        return len(lab.database.readings()) > before

    # Acknowledged as well: the next group is read only after that. Killed in between,
    # the message would rightly come again.
    before = len(lab.database.readings())
    eventually(taken, "the next message is taken")
    lab.services[0].restart()
    before = len(lab.database.readings())
    eventually(taken, "plain messages are taken again")
    assert len(stored(lab)) == 1


def test_what_is_acknowledged_while_ingest_is_away_arrives(lab, central, device):
    """The plain connection's session keeps messages while ingest restarts."""
    ingest = lab.services[0]
    ingest.stop()
    for value in range(20):
        device.publish(TOPIC, json.dumps({"temperature": value}))
    ingest.start()
    eventually(lambda: len(stored(lab)) == 20, "all 20 are stored")


MALFORMED = {
    "empty": b"",
    "text": b"it is warm",
    "broken object": b'{"temperature":24.8',
    "no number": b'{"temperature":"warm"}',
    "nested": b'{"temperature":{"value":24.8}}',
    "empty object": b"{}",
    "array of numbers": b"[1,2,3]",
    "not UTF-8": b'{"temperature":24.8,"\xff\xfe":1}',
    "overflow": b'{"temperature":1e999}',
    "paper without numbers": "Temp=°C, Humidity=%".encode(),
    "NUL": b'{"temperature":1}\x00',
    "bad time": b'{"temperature":1,"time":"yesterday"}',
    "too many values": json.dumps({f"q{n}": n for n in range(9)}).encode(),
    "bad name": b'{"a/b":1}',
}


def test_malformed_messages_are_kept(lab, device):
    """Each goes to dead_letter with topic, reason and payload; ingest goes on."""
    for number, (name, payload) in enumerate(MALFORMED.items(), 1):
        device.publish(TOPIC, payload)
        eventually(lambda: len(lab.database.dead_letters()) == number, f"{name} is kept")
        letter = lab.database.dead_letters()[-1]
        assert (letter["topic"], letter["payload"]) == (TOPIC, payload), name
        assert letter["reason"] and letter["bytes"] == len(payload), name
    assert stored(lab) == []
    device.publish(TOPIC, b'{"temperature":24.8,"humidity":60.6}')
    eventually(lambda: stored(lab), "a good message is stored")


def test_an_oversized_message_is_kept_and_survived(lab, central):
    """Above MAX_MESSAGE_BYTES (256 KiB): a dead letter that says how large it was."""
    lab.ingest(central)
    device = lab.client(central)
    payload = b'{"temperature":1,"note":"' + b"x" * (1 << 20) + b'"}'

    def kept():
        device.publish(TOPIC, payload)
        return lab.database.dead_letters()

    letter = eventually(kept, "it is kept")[0]
    assert letter["topic"] == TOPIC and letter["bytes"] == len(payload)
    assert payload.startswith(letter["payload"])
    assert lab.database.count() == 0
