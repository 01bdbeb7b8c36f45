"""What people and other programs see of a node: status, state, a clean stop."""

import json

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
        " outbox_bytes outbox_oldest_s spilled dropped batches stored rejected later resent"
        " strange_answers commands commands_refused"
    ),
    "ingest": (
        "messages readings duplicates dead_letters lost later commits ahead queued_bytes gaps"
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
