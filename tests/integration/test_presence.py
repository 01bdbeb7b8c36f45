"""What people and other programs see of a node: status, state, a clean stop."""

import json
import time

import pytest

from harness import Ledger, Peer, eventually
from harness.client import publish_properties
from harness.peer import new_stream, senml


def payloads(client, topic):
    return [message.payload for message in client.messages(topic)]


def test_online_offline_by_clean_stop(lab, local, central):
    """status/<node> is a retained online while the publisher runs, a retained offline after."""
    publisher = lab.publisher(local, central, node="pi")
    watcher = lab.client(central)
    watcher.subscribe("status/pi")
    message = watcher.wait_message("status/pi")
    assert (message.payload, message.retain) == (b"online", True)
    publisher.stop()
    watcher.wait_message("status/pi", lambda m: m.payload == b"offline")
    late = lab.client(central)
    late.subscribe("status/pi")
    message = late.wait_message("status/pi")
    assert (message.payload, message.retain) == (b"offline", True)


def test_offline_by_last_will(lab, local, central):
    """A publisher killed by SIGKILL goes offline by its last will, and online again after."""
    publisher = lab.publisher(local, central, node="pi")
    watcher = lab.client(central)
    watcher.subscribe("status/pi")
    watcher.wait_message("status/pi", lambda m: m.payload == b"online")
    publisher.kill()
    watcher.wait_message("status/pi", lambda m: m.payload == b"offline")
    publisher.start()
    eventually(
        lambda: payloads(watcher, "status/pi") == [b"online", b"offline", b"online"],
        "online, offline, online",
    )


def test_the_last_reading_of_each_sensor(lab, local, central):
    """state/<node>/<sensor> is retained flat JSON: the values, and a time."""
    lab.ingest(central)
    lab.publisher(local, central, node="pi")
    sampler = lab.sampler(local, "climate=sim@5,count=10", PERIOD_MS=1)
    eventually(lambda: len(Ledger(sampler.ledger_path).accepted) == 10, "10 readings are accepted")
    last = Ledger(sampler.ledger_path)
    _, ts_us, values = last.readings[(last.runs[0], 10)]
    client = lab.client(central)
    client.subscribe("state/#")

    def newest(message):
        state = json.loads(message.payload)
        return all(state.get(name) == value for name, value in values.items())

    client.wait_message("state/pi/climate", newest)
    late = lab.client(central)
    late.subscribe("state/pi/climate")
    message = late.wait_message("state/pi/climate")
    assert message.retain
    state = json.loads(message.payload)
    assert {name: state[name] for name in values} == values
    times = {name: value for name, value in state.items() if name not in values}
    assert len(times) >= 1 and all(not isinstance(v, (dict, list)) for v in state.values())
    assert any(str(ts_us // 10**6)[:8] in str(v) or "T" in str(v) for v in times.values()), state


def sample(client, sensor, stream, seq, time_s, value):
    """What a sampler publishes for one reading."""
    record = {"bn": f"{sensor}/", "bt": time_s, "n": "temperature", "u": "Cel", "v": value}
    properties = publish_properties(
        content_type="application/senml+json",
        response=f"local/ack/{stream}",
        user=[("v", "1"), ("stream", stream), ("first", str(seq)), ("count", "1"), ("low", "1")],
    )
    client.publish(f"local/reading/{sensor}", senml([[record]]), properties=properties)


def test_an_old_reading_never_overwrites_a_newer_state(lab, local, central):
    """A reading that comes late is stored, and the state stays at the newest one."""
    lab.ingest(central)
    lab.publisher(local, central, node="pi")
    watcher = lab.client(central)
    watcher.subscribe("state/pi/#")
    sampler = lab.client(local)
    stream = new_stream()
    sample(sampler, "climate", stream, 2, 1732312346, 20.5)
    newest = json.loads(watcher.wait_message("state/pi/climate").payload)
    assert newest["temperature"] == 20.5
    sample(sampler, "climate", stream, 1, 1732312345, 10.5)
    # The publisher takes messages in order: when this one is seen, the late one was taken.
    sample(sampler, "other", stream, 3, 1732312347, 30.5)
    watcher.wait_message("state/pi/other")
    eventually(lambda: lab.database.count() == 3, "all three are stored")
    assert [json.loads(p) for p in payloads(watcher, "state/pi/climate")] == [newest]


def sent_by(client, instance, status, names):
    """What a sampler says of itself and of its sensors."""
    user = publish_properties(user=[("sampler", instance)])
    for topic in [f"local/sampler/{instance}"] + [f"local/status/{name}" for name in names]:
        client.publish(topic, status, retain=True, properties=user)


def retained(lab, broker, topic):
    """What is retained there: {topic: payload}."""
    client = lab.client(broker)
    client.subscribe(topic)
    # Retained messages come before what is published after them.
    marker = f"marker/{len(lab.clients)}"
    client.subscribe(marker)
    client.publish(marker, "")
    client.wait_message(marker)
    return {m.topic: m.payload for m in client.messages() if m.topic != marker}


def test_a_sampler_that_dies_while_the_nodes_broker_is_away(lab, local, central):
    """Nobody says that its sensors are there any more: they are offline; the others' are not."""
    lab.publisher(local, central, node="pi")
    gone, other = lab.sampler(local, "a=sim@1"), lab.sampler(local, "b=sim@2")
    watcher = lab.client(central)
    watcher.subscribe("status/pi/#")
    for name in "ab":
        watcher.wait_message(f"status/pi/{name}", lambda m: m.payload == b"online")
    local.kill()
    gone.kill()
    watcher.wait_message("status/pi/a", lambda m: m.payload == b"offline")
    local.start()
    eventually(lambda: payloads(watcher, "status/pi/b")[-1] == b"online", "b is there again")
    assert payloads(watcher, "status/pi/a")[-1] == b"offline" and other.running()


@pytest.mark.parametrize("first", ["sampler", "publisher", "broker"])
def test_nothing_is_online_after_a_stop_of_all(lab, local, central, first):
    """As `compose down` does, in any order: no sensor and no output stays online."""
    publisher = lab.publisher(local, central, node="pi")
    sampler = lab.sampler(local, "a=sim@1")
    watcher = lab.client(central)
    watcher.subscribe("status/pi/#")
    watcher.wait_message("status/pi/a", lambda m: m.payload == b"online")
    stops = {"sampler": sampler.stop, "publisher": publisher.stop, "broker": local.kill}
    stops.pop(first)()
    for stop in stops.values():
        stop()
    watcher.wait_message("status/pi", lambda m: m.payload == b"offline")
    assert retained(lab, central, "status/pi/#") == {
        "status/pi": b"offline",
        "status/pi/a": b"offline",
    }


def test_a_name_that_left_is_cleared(lab, local, central):
    """Also when the publisher was away meanwhile; a sampler that is only away keeps its names."""
    publisher = lab.publisher(local, central, node="pi")
    sampler, away = lab.sampler(local, "a=sim@1,b=sim@2"), lab.sampler(local, "c=sim@3")
    for name in "abc":
        eventually(lambda: f"state/pi/{name}" in retained(lab, central, "state/pi/+"), f"state of {name}")
    for service in (publisher, away, sampler):
        service.kill()
    sampler.env["SENSORS"] = "a=sim@1"
    sampler.start()
    publisher.start()

    def statuses():
        return retained(lab, central, "status/pi/+")

    wanted = {"status/pi/a": b"online", "status/pi/c": b"offline"}
    eventually(lambda: statuses() == wanted, "b is cleared, c is offline")
    assert set(retained(lab, central, "state/pi/+")) == {"state/pi/a", "state/pi/c"}
    away.start()
    eventually(lambda: statuses()["status/pi/c"] == b"online", "c is back")


def test_two_samplers_with_one_sensor_name(lab, local, central):
    """The first keeps it while it is here, and the log names both; then it is the other's."""
    publisher = lab.publisher(local, central, node="pi")
    watcher, samplers = lab.client(central), lab.client(local)
    watcher.subscribe("status/pi/#")
    sent_by(samplers, "one", "online", ["twin"])
    watcher.wait_message("status/pi/twin", lambda m: m.payload == b"online")
    for status in ("offline", "online", "offline"):
        user = publish_properties(user=[("sampler", "two")])
        samplers.publish("local/sampler/two", "online", retain=True)
        samplers.publish("local/status/twin", status, retain=True, properties=user)
    sent_by(samplers, "one", "online", ["later"])
    watcher.wait_message("status/pi/later")
    assert payloads(watcher, "status/pi/twin") == [b"online"]
    found = [e for e in publisher.events() if "two samplers have" in e["msg"]]
    assert [(e["name"], e["counts"], e["ignored"]) for e in found] == [("twin", "one", "two")]
    samplers.publish("local/status/twin", "online", retain=True, properties=user)
    samplers.publish("local/status/later", "offline", properties=publish_properties(user=[("sampler", "one")]))
    watcher.wait_message("status/pi/later", lambda m: m.payload == b"offline")
    samplers.publish("local/sampler/one", "offline", retain=True)
    sent_by(samplers, "two", "online", ["last"])
    watcher.wait_message("status/pi/last")
    # What the second had said of it is what counts now.
    assert payloads(watcher, "status/pi/twin")[-1] == b"online"
    samplers.publish("local/sampler/two", "offline", retain=True)
    watcher.wait_message("status/pi/twin", lambda m: m.payload == b"offline")


def test_a_new_stream_shows_what_is_later(lab, local, central):
    """Of two streams the later time is shown; a time that is ahead of the clock holds nothing up."""
    lab.publisher(local, central, node="pi")
    watcher, sampler = lab.client(central), lab.client(local)
    watcher.subscribe("state/pi/#")
    now = round(time.time())

    def shown(value):
        watcher.wait_message("state/pi/climate", lambda m: json.loads(m.payload)["temperature"] == value)

    sample(sampler, "climate", new_stream(), 7, now - 60, 1.5)
    shown(1.5)
    sample(sampler, "climate", new_stream(), 1, now - 3600, 2.5)
    sample(sampler, "other", new_stream(), 1, now, 1)
    watcher.wait_message("state/pi/other")
    sample(sampler, "climate", new_stream(), 1, now + 10 * 366 * 86400, 3.5)
    shown(3.5)
    sample(sampler, "climate", new_stream(), 1, now - 30, 4.5)
    shown(4.5)
    values = [json.loads(p)["temperature"] for p in payloads(watcher, "state/pi/climate")]
    assert values == [1.5, 3.5, 4.5]


def test_a_restart_does_not_show_what_is_older(lab, local, central):
    """The publisher is killed and gets old readings of the same stream again: the state stays."""
    publisher = lab.publisher(local, central, node="pi")
    watcher, sampler = lab.client(central), lab.client(local)
    watcher.subscribe("state/pi/#")
    stream, now = new_stream(), round(time.time())
    # The clock was an hour ahead when the first of them were taken.
    for seq, time_s in ((1, now + 3600), (2, now + 3601), (3, now - 5)):
        sample(sampler, "climate", stream, seq, time_s, seq + 0.5)
    eventually(
        lambda: payloads(watcher, "state/pi/climate")
        and json.loads(payloads(watcher, "state/pi/climate")[-1])["temperature"] == 3.5,
        "the third is shown",
    )
    before = payloads(watcher, "state/pi/climate")
    publisher.restart()
    for seq, time_s in ((1, now + 3600), (2, now + 3601)):
        sample(sampler, "climate", stream, seq, time_s, seq + 0.5)
    sample(sampler, "other", new_stream(), 1, now, 1)
    watcher.wait_message("state/pi/other")
    assert payloads(watcher, "state/pi/climate") == before
    sample(sampler, "climate", stream, 4, now - 4, 4.5)
    watcher.wait_message("state/pi/climate", lambda m: b"4.5" in m.payload)


def test_the_state_is_live_while_nothing_can_be_taken(lab, local, central):
    """Memory and outbox are full: what is read now is shown all the same, also after a restart."""
    publisher = lab.publisher(
        local, central, node="pi", healthy=False, OUTBOX_MAX_BYTES=262144, SPILL_AFTER_MS=50
    )
    # Nobody answers at the centre; long values fill the memory soon.
    offsets = ",offset:temperature=0.123456,offset:humidity=0.123456"
    load = [f"load{n}=sim@{n}{offsets}" for n in range(16)]
    lab.sampler(local, ",".join(load), PERIOD_MS=1, RING_SIZE=200000, WINDOW=5000)
    watcher = lab.client(central)
    watcher.subscribe("state/pi/slow")
    watcher.subscribe("stats/#")
    slow = lab.sampler(local, "slow=sim@1", PERIOD_MS=100, WINDOW=4)

    def waiting():
        ledger = Ledger(slow.ledger_path)
        return len(ledger.readings) - len(ledger.accepted)

    def shows_live():
        """The state is one of the last second or two, of which none was accepted."""
        shown = json.loads(payloads(watcher, "state/pi/slow")[-1])["temperature"]
        readings = [v["temperature"] for _, _, v in Ledger(slow.ledger_path).readings.values()]
        return shown in readings[-30:]

    eventually(lambda: waiting() > 60, "nothing is taken any more", 120)
    eventually(shows_live, "the state is live")
    publisher.restart(healthy=False)
    eventually(lambda: waiting() > 100, "still, or again", 120)
    eventually(shows_live, "and live")
    times = [json.loads(p)["time"] for p in payloads(watcher, "state/pi/slow")]
    assert times == sorted(times)


@pytest.mark.tsan
def test_every_service_stops_cleanly_while_readings_flow(lab, local, central):
    """SIGTERM in the middle of work: exit 0 within the stated time, for each service."""
    services = [
        lab.pruner(central),
        lab.ingest(central),
        lab.publisher(local, central),
        lab.sampler(local, "bench=sim@42", PERIOD_MS=2),
    ]
    eventually(lambda: len(lab.database.readings()) > 50, "readings flow")
    for service in reversed(services):
        service.stop()
        assert "exit=0" in service.stderr().splitlines()[-1]


def test_a_clean_stop_loses_nothing(lab, local, central):
    """What a stopping sampler had sampled, and a stopping publisher held, is stored later."""
    publisher = lab.publisher(local, central, SPILL_AFTER_MS=60000)
    sampler = lab.sampler(local, "bench=sim@42,count=200", PERIOD_MS=1)
    # No ingest runs: the publisher holds the readings in memory only.
    eventually(lambda: len(Ledger(sampler.ledger_path).readings) == 200, "200 are sampled")
    publisher.stop()
    lab.ingest(central)
    publisher.start()
    eventually(lambda: len(lab.database.readings()) == 200, "200 are stored")
    assert lab.database.rows() == Ledger(sampler.ledger_path).rows()


STATISTICS = {
    "sampler": "readings accepted dropped failed resent in_flight commands commands_refused",
    "publisher": (
        "received accepted duplicates refused in_memory batches_in_flight in_outbox"
        " outbox_bytes outbox_oldest_s spilled dropped damaged batches stored rejected later resent"
        " strange_answers commands commands_refused"
    ),
    "ingest": (
        "messages readings duplicates dead_letters lost later odd_waits commits ahead queued_bytes"
        " gaps"
    ),
    "retention-pruner": "runs steps deleted counted longest_step_us",
}


def test_statistics_of_every_service_reach_the_centre(lab, local, central):
    """stats/<node>/<service>/<instance>: JSON counters, the node's relayed by its publisher."""
    watcher = lab.client(central)
    watcher.subscribe("stats/#")
    lab.ingest(central, STATS_PERIOD_S=1)
    lab.pruner(central, STATS_PERIOD_S=1)
    lab.publisher(local, central, node="pi", STATS_PERIOD_S=1)
    lab.sampler(local, "bench=sim@42,count=10", PERIOD_MS=1, STATS_PERIOD_S=1)
    for topic in [
        "stats/broker/ingest/ingest-0",
        "stats/broker/retention-pruner/retention-pruner-1",
        "stats/pi/publisher/publisher-2",
        "stats/pi/sampler/sampler-3",
    ]:
        counters = json.loads(watcher.wait_message(topic).payload)
        assert list(counters) == STATISTICS[topic.split("/")[2]].split(), topic
        assert all(isinstance(value, int) for value in counters.values())


def last_statistics(watcher, topic):
    """The newest counters of one service; {} before the first."""
    seen = payloads(watcher, topic)
    return json.loads(seen[-1]) if seen else {}


def test_statistics_tell_a_readings_way(lab, local, central):
    """What was accepted and acknowledged, what is missing, and what waits while the centre is away."""
    watcher = lab.client(central)
    watcher.subscribe("stats/#")
    ingest = lab.ingest(central, STATS_PERIOD_S=1)
    lab.publisher(local, central, node="pi", STATS_PERIOD_S=1, SPILL_AFTER_MS=50)
    lab.sampler(local, "bench=sim@42,count=20", PERIOD_MS=1, STATS_PERIOD_S=1)

    def publisher():
        return last_statistics(watcher, "stats/pi/publisher/publisher-1")

    eventually(lambda: publisher().get("stored") == 20, "all is acknowledged")
    assert publisher()["accepted"] == 20 and publisher()["in_outbox"] == 0
    # Nobody answers: the next readings wait in the outbox, and grow old.
    ingest.stop()
    lab.sampler(local, "more=sim@43,count=20", PERIOD_MS=1)
    eventually(lambda: publisher().get("in_outbox") == 20, "the outbox is counted")
    eventually(lambda: publisher()["outbox_oldest_s"] >= 1, "their age is told")
    assert publisher()["outbox_bytes"] > 0 and publisher()["accepted"] == 40
    eventually(lambda: publisher()["batches_in_flight"] > 0, "one is on its way")
    eventually(lambda: publisher()["resent"] > 0, "and sent again")


def test_statistics_count_gaps_and_what_was_refused(lab, central):
    """Numbers of a stream that have not come yet, and batches that can never be stored."""
    watcher = lab.client(central)
    watcher.subscribe("stats/#")
    lab.ingest(central, STATS_PERIOD_S=1)
    peer = Peer(lab.client(central))
    stream = new_stream()

    def ingest():
        return last_statistics(watcher, "stats/broker/ingest/ingest-0")

    for first in (2, 6):
        peer.batch(stream, first, 1)
    eventually(lambda: ingest().get("gaps") == 2, "both gaps are counted")
    peer.batch(stream, 1, 1)
    eventually(lambda: ingest()["gaps"] == 1, "one is filled")
    assert "rejected" in peer.ask(stream, 7, b"nonsense", 1)
    eventually(lambda: ingest()["dead_letters"] == 1, "it was refused")


TAKEN = "another client uses the same name"


def test_two_nodes_of_one_name(lab, central):
    """Both say so, each keeps away for longer and longer, and nothing of either is lost."""
    lab.ingest(central)
    nodes = []
    for number in range(2):
        local = lab.broker()
        publisher = lab.publisher(local, central, node="twin", healthy=False, SPILL_AFTER_MS=50)
        sampler = lab.sampler(local, f"s{number}=sim@{number},count=300", PERIOD_MS=1)
        nodes.append((publisher, sampler))
    for publisher, _ in nodes:
        eventually(lambda: TAKEN in publisher.stderr(), "it says so", 60)
    wanted = Ledger(nodes[0][1].ledger_path).rows() + Ledger(nodes[1][1].ledger_path).rows()
    eventually(lambda: lab.database.rows() == wanted, "all readings of both are stored", 60)
    waits = [line for publisher, _ in nodes for line in publisher.stderr().splitlines() if TAKEN in line]
    # The second time it stays away for longer than the test lasts.
    assert 2 <= len(waits) <= 4 and all("next_try_s=" in line for line in waits)


def test_a_batch_from_nowhere_does_not_make_a_node_online(lab, central):
    """status/ belongs to publishers: ingest never writes it."""
    lab.ingest(central)
    watcher = lab.client(central)
    watcher.subscribe("status/#")
    assert "stored" in Peer(lab.client(central), node="ghost").batch(new_stream(), 1, 1)
    assert watcher.messages() == []
