"""Holding what is stored against what was sampled: rows are counted, nothing else is believed."""

from collections import Counter

from harness.ledger import Ledger
from harness.wait import eventually


def all_accepted(sampler, count, deadline_s=60):
    """Wait until the sampler has sampled count readings and all are accepted; its ledger."""

    def accepted():
        ledger = Ledger(sampler.ledger_path)
        assert (len(ledger.readings), len(ledger.accepted)) == (count, count)
        return ledger

    return eventually(accepted, f"{count} readings are sampled and accepted", deadline_s)


def stored_exactly_once(lab, sampler, count):
    """Wait until count readings are accepted and stored; fail on any row missing or too many."""
    ledger = all_accepted(sampler, count)
    eventually(lambda: lab.database.count() >= count, f"{count} rows are stored", 60)
    stored, sampled = lab.database.rows(), ledger.rows()
    assert stored - sampled == {}, "stored twice, or never sampled"
    assert sampled - stored == {}, "accepted and missing"
    return ledger


def by_values(readings):
    """Counter of readings by their values, which name run and number, whatever time they got."""
    return Counter(tuple(sorted(values.items())) for _, _, values in readings)


def stored_whenever(lab, samplers, count, deadline_s=60):
    """Wait until count readings are stored; fail unless each of these ledgers' is, once. Rows by time."""
    eventually(lambda: lab.database.count() >= count, f"{count} rows are stored", deadline_s)
    rows = lab.database.readings()
    sampled = [reading for s in samplers for reading in Ledger(s.ledger_path).readings.values()]
    assert by_values(rows) == by_values(sampled)
    return sorted(rows, key=lambda row: row[1])
