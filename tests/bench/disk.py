"""What the disk itself takes, for comparison with what is built on it."""

import os
import time


def fdatasync_ms(directory, count=200, size=4096):
    """Sorted durations of writing and syncing one page at the end of a file, again and again."""
    path = directory / "fdatasync"
    durations = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for _ in range(count):
            begin = time.perf_counter()
            os.write(descriptor, b"x" * size)
            os.fdatasync(descriptor)
            durations.append((time.perf_counter() - begin) * 1000)
    finally:
        os.close(descriptor)
        path.unlink()
    return sorted(durations)


def percentile(ordered, share):
    """Nearest rank of a sorted list."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
