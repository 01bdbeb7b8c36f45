"""All readings that were ever stored, and what must be left of them, by brute force."""

import math
from collections import Counter, defaultdict
from dataclasses import dataclass

from harness.pruning import DAY_S

US = 1_000_000
DAY_US = DAY_S * US


@dataclass(frozen=True)
class Policy:
    """In seconds: the age of readings, and of rollups by their size."""

    raw: int
    sizes: tuple  # of (size, age), the finest first

    def text(self):
        return ",".join([f"raw:{self.raw}s", *(f"{size}s:{age}s" for size, age in self.sizes)])


class History:
    def __init__(self, policy, others):
        """others: {topic: policy} of the nodes that have one of their own, with the same sizes."""
        self.policy = policy
        self.others = others
        self.readings = []  # (topic, sensor, ts_us, {quantity: value})

    def policy_of(self, topic):
        return self.others.get(topic, self.policy)

    def check(self, database, now_us, counted_us):
        """After a run at now_us that has counted up to counted_us."""
        self._check_readings(database, now_us, counted_us)
        for i, (size, _) in enumerate(self.policy.sizes):
            self._check_rollups(database, now_us, counted_us, i, size * US)

    def _check_readings(self, database, now_us, counted_us):
        """What is due is there once; what is past its age is not, but for the rest of its day."""
        longest_us = max(policy.raw for policy in (self.policy, *self.others.values())) * US
        due, may_stay = Counter(), Counter()
        for topic, sensor, ts, values in self.readings:
            raw_us = self.policy_of(topic).raw * US
            found = Counter((topic, sensor, ts, *value) for value in values.items())
            singly = raw_us < longest_us or raw_us < DAY_US
            ends = ts if singly else ts - ts % DAY_US + DAY_US - 1
            if ts >= min(now_us - raw_us, counted_us):
                due.update(found)
            if ends >= min(now_us - raw_us, counted_us):
                may_stay.update(found)
        stored = Counter(stored_values(database))
        missing, too_many = due - stored, stored - may_stay
        assert not missing, f"missing at {now_us}, counted until {counted_us}: {missing}"
        assert not too_many, f"stored twice, or past its age at {now_us}: {too_many}"

    def _check_rollups(self, database, now_us, counted_us, i, size_us):
        expected = defaultdict(list)
        for topic, sensor, ts, values in self.readings:
            start = ts - ts % size_us
            age_us = self.policy_of(topic).sizes[i][1] * US
            if ts < counted_us and start + size_us > now_us - age_us:
                for quantity, value in values.items():
                    expected[topic, sensor, quantity, start].append((ts, value))
        found = {row[:4]: row[4:] for row in stored_rollups(database, size_us // US)}
        assert found.keys() == expected.keys()
        for key, (count, least, greatest, total, first, last, first_ts, last_ts) in found.items():
            values = [value for _, value in expected[key]]
            assert (count, least, greatest) == (len(values), min(values), max(values)), key
            assert (first_ts, first) == min(expected[key]), key
            assert (last_ts, last) == max(expected[key]), key
            # Relative to what was added: a sum of both signs may be near zero.
            limit = 1e-12 * math.fsum(map(abs, values))
            assert abs(total - math.fsum(values)) <= limit, key


def stored_values(database):
    """(topic, sensor, ts_us, quantity, value) of each that a row has, whichever part of its sensor it is of."""
    columns = ["temperature", "humidity", *(f"v{i}" for i in range(2, 8))]
    names = {}
    for sensor, col, quantity in database.query("SELECT sensor, col, quantity FROM channel"):
        names[sensor, col] = quantity
    sql = (
        "SELECT sensor.id, topic, name, (extract(epoch FROM ts) * 1000000)::bigint, "
        f"{', '.join(columns)} FROM reading JOIN sensor ON sensor.id = reading.sensor"
    )
    for sensor, topic, name, ts, *cells in database.query(sql):
        for i, value in enumerate(cells):
            if value is not None:
                yield topic, name, ts, names[sensor, i], value


def stored_rollups(database, size_s):
    sql = (
        "SELECT topic, name, quantity, (extract(epoch FROM ts) * 1000000)::bigint,"
        " count, min, max, sum, first, last, (extract(epoch FROM first_ts) * 1000000)::bigint,"
        " (extract(epoch FROM last_ts) * 1000000)::bigint FROM rollup"
        " JOIN sensor ON sensor.id = rollup.sensor JOIN channel USING (sensor, col) WHERE size = ?"
    )
    return database.query(sql, size_s)
