"""How long a test may take. For the fixtures of a conftest."""

import signal
from contextlib import contextmanager


@contextmanager
def time_limit_of(limit_s, what):
    """Past the limit, the block fails where it stands."""

    def expired(_signal, _frame):
        raise TimeoutError(f"the {what} took longer than {limit_s} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
