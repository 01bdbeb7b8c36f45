"""No service polls: a system with little to do sleeps."""

import os
import time

from harness import eventually
from harness.usage import wakeups

WINDOW_S = 10.0
# Ticks of 10 ms. 0.2% of 10 s is 2; sanitizers multiply every instruction.
MAX_TICKS = 10
# Five readings, their answers and their commits, leases and keepalives make about 50
# at ingest, on all of its threads; a poll every 50 ms would add 200.
MAX_WAKEUPS = 120


def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_idle_services_sleep(lab, local, central, capsys):
    """All four services, one reading every 2 s: CPU ticks and wakeups over 10 s stay near none."""
    services = {
        "ingest": lab.ingest(central),
        "publisher": lab.publisher(local, central),
        "sampler": lab.sampler(local, "bench=sim@42"),
        "retention-pruner": lab.pruner(central),
    }
    eventually(lambda: lab.database.count() > 0, "readings flow")
    before = {name: (cpu_ticks(s.pid), wakeups(s.pid)) for name, s in services.items()}
    # The window of a measurement: nothing is waited for.
    time.sleep(WINDOW_S)
    report, measured = [], {}
    for name, service in services.items():
        ticks = cpu_ticks(service.pid) - before[name][0]
        woken = wakeups(service.pid) - before[name][1]
        measured[name] = (ticks, woken)
        percent = ticks / os.sysconf("SC_CLK_TCK") / WINDOW_S * 100
        report.append(f"idle {name}: {percent:.2f}% CPU, {woken / WINDOW_S:.1f} wakeups/s")
    with capsys.disabled():
        print("\n" + "\n".join(report))
    for name, (ticks, woken) in measured.items():
        assert ticks <= MAX_TICKS and woken <= MAX_WAKEUPS, (name, ticks, woken)
