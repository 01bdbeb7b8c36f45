"""The sampler against a publisher made by hand."""

import json

from harness import Ledger
from harness.wait import eventually


def test_a_reading_that_is_not_taken_is_sent_again_while_others_are(lab, local):
    """A publisher leaves number 3 out and accepts all others: 3 comes again all the same."""
    publisher = lab.client(local)
    seen = []

    def answer(message):
        identity = dict(message.properties.UserProperty)
        seq = int(identity["first"])
        seen.append(seq)
        if seq != 3:
            stored = {"stored": [[identity["stream"], seq, 1]]}
            publisher.post(message.properties.ResponseTopic, json.dumps(stored))

    publisher.listen("local/reading/+", answer)
    lab.sampler(local, "bench=sim@1", PERIOD_MS=500)
    eventually(lambda: seen.count(3) >= 2, "number 3 is sent again", 30)
    assert len([seq for seq in seen if seq > 3]) > 5, "while others came and were accepted"


def payloads(client, topic):
    return [message.payload.decode() for message in client.messages(topic)]


def test_a_sensor_is_read_at_the_start(lab, local):
    """Whether it can be read is known at once, also with a period of a day and another before it."""
    client = lab.client(local)
    client.subscribe("local/status/#")
    names = "abcd"
    sensors = ",".join(f"{name}=sim@1/1d" for name in names)
    sampler = lab.sampler(local, sensors)
    for name in names:
        client.wait_message(f"local/status/{name}", lambda m: m.payload == b"online")
    read = [sensor for sensor, _, _ in Ledger(sampler.ledger_path).readings.values()]
    assert sorted(read) == list(names), "each once, and then in a day"


def test_a_reading_that_cannot_be_sent_is_a_failure(lab, local):
    """Counted and logged with its cause; after three in a row the sensor is offline."""
    client = lab.client(local)
    client.subscribe("local/#")
    # 1e308 times the temperature is no number any more.
    sampler = lab.sampler(
        local, "bench=sim@1,scale:temperature=1e308,good=sim@2", PERIOD_MS=20, STATS_PERIOD_S=1
    )
    eventually(
        lambda: any(
            event["msg"] == "a sensor cannot be read"
            and (event["sensor"], event["cause"], event["in_a_row"]) == ("bench", "cannot-be-sent", "10")
            for event in sampler.events()
        ),
        "the cause is named",
    )
    client.wait_message("local/status/good", lambda m: m.payload == b"online")
    assert set(payloads(client, "local/status/bench")) == {"offline"}
    assert {s for s, _, _ in Ledger(sampler.ledger_path).readings.values()} == {"good"}
    stats = f"local/stats/sampler/{sampler.settings['INSTANCE']}"
    eventually(
        lambda: payloads(client, stats) and json.loads(payloads(client, stats)[-1])["failed"] >= 10,
        "they are counted",
    )
