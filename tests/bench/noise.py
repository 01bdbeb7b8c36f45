"""Timing noise: how many reads of a DHT11 or DHT22 are right, and whether any is wrong."""

import os
import subprocess

from harness.service import BIN
from table import Row, grid

MEANS_US = [0, 1, 2, 3, 4, 5, 6, 8, 10]
READS = 1_000_000  # at each mean, of all three sensors
SEED = 20261124
TROUBLES = {
    "late": "each edge late by a latency of its own",
    "held": "half of each latency holds up the next edge as well",
    "lost": "late, and edges lost: one or two of the first in a fifth of the reads",
}
HEADER = ["mean", "right", "no value", "wrong", "plain: right", "no value", "wrong"]


class Counts:
    """What became of some reads, by this decoder and by a plain one."""

    NAMES = ["reads", "right", "wrong", "plain_right", "plain_wrong"]

    def __init__(self, sensors):
        """sensors: a dictionary each, of the program's lines."""
        for name in self.NAMES:
            setattr(self, name, sum(int(sensor[name]) for sensor in sensors))

    def percent(self, count):
        return 100 * count / self.reads

    def cells(self, mean_us):
        rest = self.reads - self.right - self.wrong
        plain_rest = self.reads - self.plain_right - self.plain_wrong
        return [
            f"{mean_us} us",
            f"{self.percent(self.right):.2f}%",
            f"{self.percent(rest):.2f}%",
            f"{self.wrong:,}",
            f"{self.percent(self.plain_right):.2f}%",
            f"{self.percent(plain_rest):.2f}%",
            f"{self.plain_wrong:,}",
        ]


def simulate(trouble, mean_us):
    """One run of the program: a dictionary for each sensor."""
    command = [BIN.parent / "test" / "noise", "--trouble", trouble, "--mean-us", mean_us]
    command += ["--reads", READS, "--seed", SEED, "--threads", os.cpu_count()]
    # Wrong values are described on stderr, which is left alone.
    run = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
    assert run.returncode == 0, f"noise exited {run.returncode}"
    lines = run.stdout.splitlines()
    return [dict(field.split("=") for field in line.split()) for line in lines]


def measure(_lab):
    """Three kinds of trouble; (record for bench.jsonl, rows of the table).

    The reads are drawn from a seed and the same on every machine, and so are the counts.
    """
    record = {"bench": "noise", "seed": SEED, "reads": READS, "means_us": MEANS_US}
    rows = []
    print(f"  seed {SEED}, {READS:,} reads at each mean, DHT11, AM2301 and AM2302 in turn")
    for trouble, what in TROUBLES.items():
        print(f"  {trouble}: {what}", flush=True)
        sensors = {mean_us: simulate(trouble, mean_us) for mean_us in MEANS_US}
        counts = {mean_us: Counts(sensors[mean_us]) for mean_us in MEANS_US}
        grid(HEADER, [counts[mean_us].cells(mean_us) for mean_us in MEANS_US])
        for name in Counts.NAMES[1:]:
            record[f"{trouble}_{name}"] = [getattr(counts[mean_us], name) for mean_us in MEANS_US]
        if trouble == "late":
            for sensor in sensors[3]:
                right = 100 * int(sensor["right"]) / int(sensor["reads"])
                what = f"{sensor['sensor']}: right with 3 us an edge"
                rows.append(Row(what, right, "%", at_least=97))
        wrong = sum(count.wrong for count in counts.values())
        rows.append(Row(f"wrong values, {trouble}", wrong, "reads", at_most=0, decisive=True))
    return record, rows
