"""Waiting for something to become true, never for time to pass."""

import time

# Deadlines only decide how long a failing test takes: a passing one returns as
# soon as its condition holds. They are wide because sanitizers and a busy
# machine slow everything down.
DEADLINE_S = 30.0
POLL_S = 0.02


def eventually(predicate, what, deadline_s=DEADLINE_S, poll_s=POLL_S):
    """Return predicate()'s first true value; fail with its last one after deadline_s.

    An AssertionError from the predicate counts as "not yet" and is shown at the end.
    """
    end = time.monotonic() + deadline_s
    while True:
        try:
            value = predicate()
            last = value
        except AssertionError as error:
            value, last = False, error
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {deadline_s:g} s: {what}; last seen: {last!r}")
        time.sleep(poll_s)
