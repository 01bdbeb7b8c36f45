"""What was sampled held against what is stored: rows are counted, nothing else is believed."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Verdict:
    """The figures of a case, and what is wrong with them."""

    sent: int = 0
    accepted: int = 0
    stored: int = 0
    duplicates: int = 0
    missing: int = 0
    reported_lost: int = 0
    problems: list = field(default_factory=list)


def judge(ledgers, rows, reported_lost, planned, killed_runs=(), forgiven=frozenset()):
    """The verdict.

    ledgers        of all samplers
    rows           Counter of stored readings, as Ledger.rows() has them
    reported_lost  what the centre says is lost
    planned        how many readings the case was to send at least
    killed_runs    streams whose sampler was killed: what nobody had accepted of them
                   may be gone, and nobody can know that it was there
    forgiven       the (stream, seq) that the case says may be lost though they were
                   accepted; they must be reported when they are
    """
    verdict = Verdict(reported_lost=reported_lost, stored=sum(rows.values()))
    sampled, accepted, by_row = Counter(), set(), {}
    dropped, tails = set(), set()
    for ledger in ledgers:
        verdict.sent += len(ledger.readings)
        accepted |= ledger.accepted
        dropped |= ledger.dropped | ledger.unaccepted
        sampled += ledger.rows()
        for key in ledger.readings:
            by_row.setdefault(ledger.row(key), []).append(key)
            if key[0] in killed_runs and key not in ledger.accepted:
                tails.add(key)
    tails -= dropped
    verdict.accepted = len(accepted)
    verdict.duplicates = sum((rows - sampled).values())
    absent = {key for row in sampled - rows for key in by_row[row]}
    excused = absent & forgiven
    missing = (absent & accepted) - excused
    verdict.missing = len(missing)
    lost = absent - tails
    beyond = absent - dropped - tails - accepted - excused
    say = verdict.problems.append
    if verdict.sent < planned:
        say(f"sent {verdict.sent} of {planned}")
    if verdict.stored == 0:
        say("nothing is stored")
    strangers = sum(rows[row] for row in rows if row not in sampled)
    if strangers:
        say(f"{strangers} rows that were never sampled")
    if verdict.duplicates:
        say(f"{verdict.duplicates} rows too many")
    if verdict.missing:
        say(f"{verdict.missing} accepted readings are missing: {sorted(missing)[:5]}")
    if beyond:
        say(f"{len(beyond)} readings are lost without an exception: {sorted(beyond)[:5]}")
    if reported_lost != len(lost):
        say(f"{reported_lost} readings are reported lost, {len(lost)} are")
    return verdict
