"""A quiet sensor under the defaults: how soon its readings are in the database.

Readings come at random, one a minute on average, and ingest may gather for 10 s. The first after
a pause is committed at once, so most of them are. Time is scaled: 3 s stand for a minute and
500 ms for ANSWER_WITHIN, which changes nothing in the share that meets a pause.
"""

import random
import time

from disk import percentile
from table import Row
from visible import Watcher

from harness import Lab, eventually
from harness.client import publish_properties
from harness.peer import new_stream, reading, senml

SCALE = 20
MEAN_S, ANSWER_WITHIN_MS = 60 / SCALE, 10_000 // SCALE
STACKS, READINGS = 4, 60  # at the same time; of each
WARM_UP = 5
PAUSE_S = 0.001
PROMPT_MS = 10
SENSOR = "quiet"
ROOM_MS = 60_000


class Quiet:
    """A node and a centre, and a sampler made by hand that reads at random moments."""

    def __init__(self, directory, seed):
        directory.mkdir()
        self.lab = Lab(directory, log_level="info")
        self._random = random.Random(seed)
        self._stream, self._sent = new_stream(), 0

    def start(self):
        local, central = self.lab.broker(), self.lab.broker()
        self.lab.ingest(central)
        self.lab.publisher(local, central, ANSWER_WITHIN=f"{ANSWER_WITHIN_MS}ms")
        self._client = self.lab.client(local)
        eventually(self.lab.database_path.exists, "the database exists")
        self.watcher = Watcher(self.lab.database_path, SENSOR, PAUSE_S)
        self.watcher.start()

    def next_s(self):
        return self._random.expovariate(1 / MEAN_S)

    def read(self):
        """Take a reading and hand it to the publisher."""
        self._sent += 1
        records = reading(self._sent, SENSOR)
        records[0]["bt"] = time.time_ns() // 1000 / 1e6
        numbers = {"v": 1, "stream": self._stream, "first": self._sent, "count": 1, "low": self._sent}
        # As a sampler says that has room: the answer may take its time.
        numbers["wait"] = ROOM_MS
        properties = publish_properties(
            content_type="application/senml+json",
            response=f"local/ack/{self._stream}",
            correlation=b"%d" % self._sent,
            user=[(name, str(value)) for name, value in numbers.items()],
        )
        self._client.post(f"local/reading/{SENSOR}", senml([records]), properties=properties)

    def waits_ms(self):
        """From the reading to its row, when all are there once; the first ones make tables."""
        eventually(lambda: len(self.watcher.seen) == self._sent, "all are stored", 30)
        self.watcher.stop()
        assert self.lab.database.count() == self._sent
        self.lab.end()
        return [(seen - ts) / 1000 for ts, seen in self.watcher.seen[WARM_UP:]]


def measure(lab):
    """(record for bench.jsonl, rows of the table)."""
    stacks = [Quiet(lab.directory / f"quiet-{seed}", seed) for seed in range(STACKS)]
    try:
        for stack in stacks:
            stack.start()
        take_readings(stacks)
        waits = sorted(wait for stack in stacks for wait in stack.waits_ms())
    finally:
        for stack in stacks:
            stack.lab.kill_all()
    share = sum(wait < PROMPT_MS for wait in waits) / len(waits)
    expected = 1 / (1 + ANSWER_WITHIN_MS / 1000 / MEAN_S)
    record = {
        "bench": "sparse",
        "readings": len(waits),
        "scale": SCALE,
        "answer_within_s": ANSWER_WITHIN_MS * SCALE / 1000,
        "mean_gap_s": MEAN_S * SCALE,
        "under_10_ms": round(share, 3),
        "p50_ms": round(percentile(waits, 0.5), 2),
        "max_ms": round(waits[-1], 1),
    }
    rows = [
        Row(f"of {len(waits)} readings, one a minute at random: in the database within 10 ms", share * 100, "%"),
        Row("and as many find a pause of 10 s before them, by calculation", expected * 100, "%"),
        Row("reading to committed row: median", record["p50_ms"], "ms"),
        Row(f"the longest; ANSWER_WITHIN is {ANSWER_WITHIN_MS} ms here", record["max_ms"], "ms"),
    ]
    return record, rows


def take_readings(stacks):
    """Each at its own random moments."""
    now = time.monotonic()
    due = [[now + stack.next_s(), WARM_UP + READINGS, stack] for stack in stacks]
    while due:
        first = min(due, key=lambda entry: entry[0])
        time.sleep(max(0, first[0] - time.monotonic()))
        first[2].read()
        first[0] += first[2].next_s()
        first[1] -= 1
        if first[1] == 0:
            due.remove(first)
