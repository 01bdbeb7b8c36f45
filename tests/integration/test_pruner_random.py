"""Random readings, late arrivals, policies and kills, with PostgreSQL: then every value is there once.

RETENTION_SEEDS=n tries more.
"""

import os
import random
import time

import pytest

from harness import BoardClock, Peer, eventually
from harness.client import publish_properties
from harness.history import US, History, Policy
from harness.peer import new_stream, senml
from harness.pruning import DAY_S, order, reports, watching

SEEDS = int(os.environ.get("RETENTION_SEEDS", "3"))
ROUNDS = 6
TURN_S = 300  # more than one takes
HOUR_S = 3600
NODES = ("n0", "n1", "n2")
QUANTITIES = (("temperature", "Cel"), ("humidity", "%RH"), ("pressure", "Pa"))
MORE = tuple((f"q{n}", "V") for n in range(12))  # of s1: more than a row has columns

# Of all, and of n1.
POLICIES = [
    (
        Policy(2 * DAY_S, ((60, 5 * DAY_S), (HOUR_S, 9 * DAY_S))),
        Policy(6 * HOUR_S, ((60, 3 * DAY_S), (HOUR_S, 9 * DAY_S))),
    ),
    (
        Policy(HOUR_S, ((600, 2 * DAY_S), (HOUR_S, 4 * DAY_S), (DAY_S, 7 * DAY_S))),
        Policy(4 * DAY_S, ((600, DAY_S), (HOUR_S, 4 * DAY_S), (DAY_S, 7 * DAY_S))),
    ),
    (Policy(DAY_S, ((15, DAY_S // 2), (7 * HOUR_S, 6 * DAY_S))),) * 2,
]


class Arrivals:
    """Batches of readings around a time, and what they come to."""

    def __init__(self, client, history, chance):
        self.peers = {node: Peer(client, node) for node in NODES}
        self.streams = {node: [new_stream(), 1] for node in NODES}
        self.history = history
        self.chance = chance

    def send(self, now_s):
        node = self.chance.choice(NODES)
        batch = [self._reading(node, now_s) for _ in range(self.chance.randint(1, 40))]
        stream, first = self.streams[node]
        self.peers[node].send(stream, first, senml(batch), len(batch))
        self.streams[node][1] += len(batch)

    def stored(self, lab):
        return lab.database.consumed() == len(self.history.readings)

    def _reading(self, node, now_s):
        kind = self.chance.random()
        ms = now_s * 1000 - self.chance.randrange(2 * HOUR_S * 1000 if kind < 0.6 else 5 * DAY_S * 1000)
        if kind > 0.9:
            ms -= ms % 60000  # buckets' borders, and instants that come twice
        sensor = self.chance.choice(("s0", "s1"))
        of_sensor = QUANTITIES + MORE if sensor == "s1" else QUANTITIES
        quantities = self.chance.sample(of_sensor, self.chance.randint(1, 3))
        values = {name: self.chance.randint(-400, 800) / 10 for name, _ in quantities}
        self.history.readings.append((f"/data/{node}", sensor, ms * 1000, values))
        records = [{"n": name, "u": unit, "v": values[name]} for name, unit in quantities]
        records[0] = {"bn": f"{sensor}/", "bt": ms / 1000, **records[0]}
        return records


def passes(seconds):
    end = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= end, "a moment has come")


def run(client):
    """A run that does what it would ask about; an order that still waits is waited for."""

    def done():
        report = order(client, confirm=True)
        assert report.get("outcome") == "done", report
        return report

    return eventually(done, "a run")


def rollups(lab):
    return sorted(lab.database.query("SELECT * FROM rollup"))


def state(lab):
    ((now_us, counted_us),) = lab.database.query("SELECT run_wall, counted_until FROM retention")
    return now_us, counted_us


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_comes_and_is_killed(lab, central, seed):
    """What is due is there once, rollups equal a recomputation, nothing past its policy remains."""
    chance = random.Random(seed)
    policy, other = POLICIES[seed % len(POLICIES)]
    history = History(policy, {"/data/n1": other})
    postgres = lab.use_postgres()
    lab.ingest(central)
    client = watching(lab, central)
    arrivals = Arrivals(client, history, chance)
    # Five seconds into a minute, so that a run soon after another has nothing new to count.
    now_s = int(time.time()) // 60 * 60 + 5 - 30 * DAY_S
    clock = BoardClock(lab.directory, wall_s=now_s)
    settings = {"RETENTION": policy.text(), "RETENTION_N1": other.text(), "CLOCK_FILE": clock.path}
    pruner = lab.pruner(central, start=False, PRUNE_PAUSE_MS=0, **settings)
    for turn in range(ROUNDS):
        # Earlier than for the run that is checked: what these delete is past its age then.
        clock.reboot(wall_s=now_s - TURN_S)
        for _ in range(chance.randint(1, 10)):
            arrivals.send(now_s)
        for _ in range(chance.randint(0, 3)):
            pruner.start()
            client.post("retention/run", b'{"confirm":true}', properties=publish_properties())
            arrivals.send(now_s)
            passes(chance.random() * 0.4)
            pruner.kill()
        pruner.start()
        if turn == ROUNDS // 2:
            client.post("retention/run", b'{"confirm":true}', properties=publish_properties())
            passes(chance.random() * 0.2)
            postgres.kill()
            postgres.start()
            pruner.wait_healthy()
        arrivals.send(now_s)
        eventually(lambda: arrivals.stored(lab), "all of them are stored")
        clock.set(wall_s=now_s)
        run(client)
        history.check(lab.database, *state(lab))
        before = rollups(lab)
        clock.set(wall_s=now_s)
        report = run(client)
        assert (report["counted"], report["rollups"]) == (0, 0)
        assert rollups(lab) == before
        pruner.kill()
        now_s += chance.randrange(40 * HOUR_S) // 60 * 60
    assert reports(client)
    assert len(history.readings) > 200 and state(lab)[1] > (now_s - 3 * DAY_S) * US
