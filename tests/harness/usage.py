"""What a process has used so far, all its threads together."""

from pathlib import Path


def _threads(pid):
    return Path(f"/proc/{pid}/task").iterdir()


def cpu_ns(pid):
    """Time on a CPU, user and system, to the nanosecond: the clock ticks of stat are 10 ms."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in _threads(pid))


def wakeups(pid):
    """How often it went to sleep, and so how often it was woken."""
    total = 0
    for task in _threads(pid):
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def peak_rss_kb(pid):
    """The most memory it ever occupied."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError(f"no VmHWM of {pid}")
