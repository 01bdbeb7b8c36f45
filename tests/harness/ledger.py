"""The sampler's own record of what it sampled and what was accepted (LEDGER=file)."""

from collections import Counter
from pathlib import Path


class Ledger:
    """What a ledger file says at the moment it is read.

    runs        stream ids, in order
    readings    {(stream, seq): (sensor, ts_us, {quantity: value})}
    accepted    {(stream, seq)}
    dropped     {(stream, seq)} pushed out of the full ring
    unaccepted  {(stream, seq)} still in the ring when the sampler stopped
    """

    def __init__(self, path):
        self.runs = []
        self.readings = {}
        self.accepted = set()
        self.dropped = set()
        self.unaccepted = set()
        text = Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""
        for line in text.split("\n")[:-1]:  # what follows the last newline is half a line
            self._line(line.split(" "))

    def _line(self, words):
        kind = words[0]
        if kind == "run":
            self.runs.append(words[1])
        elif kind == "reading":
            seq, sensor, ts_us = int(words[1]), words[2], int(words[3])
            key = (self.runs[-1], seq)
            assert key not in self.readings, f"ledger has {key} twice"
            self.readings[key] = (sensor, ts_us, _values(words[4:]))
        elif kind in ("accepted", "dropped", "unaccepted"):
            first, count = int(words[1]), int(words[2])
            getattr(self, kind).update((self.runs[-1], seq) for seq in range(first, first + count))
        else:
            raise AssertionError(f"unknown ledger line: {' '.join(words)}")

    def rows(self, keys=None):
        """Counter of (sensor, ts_us, values) of these readings, by default all."""
        chosen = self.readings if keys is None else keys
        return Counter(self.row(key) for key in chosen)

    def row(self, key):
        """One reading in a form that can be counted."""
        return row(*self.readings[key])


def row(sensor, ts_us, values):
    """A reading in a form that can be counted."""
    return sensor, ts_us, tuple(sorted(values.items()))


def _values(words):
    pairs = (word.split("=", 1) for word in words)
    return {quantity: float(value) for quantity, value in pairs}
