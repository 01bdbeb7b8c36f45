"""Holding what is stored against what was sampled: rows are counted, nothing else is believed."""

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
