"""PostgreSQL beside SQLite: rows committed a second by one ingest, batches of 100."""

import subprocess
import time
from pathlib import Path
from statistics import median

from harness import eventually
from harness.lab import Lab
from harness.service import BIN
from harness.usage import cpu_ns
from table import Row

NODES_PROGRAM = BIN.parent / "test" / "nodes"
NODES = 50
READINGS = 12_000  # of each node
BATCH = 100
ROUNDS = 3
POLL_S = 0.02
STORES = {"sqlite": 1, "postgres": 1, "postgres_replicas": 3}  # and how many ingests
TOTAL = NODES * READINGS


def rss_peak_mb(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError(f"no VmHWM of {pid}")


def one_run(lab, ingests):
    """A backlog of all nodes, stored: (rows/s, µs of CPU a reading of ingest, MB of one)."""
    central = lab.broker()
    services = [lab.ingest(central) for _ in range(ingests)]
    begin_ns = sum(cpu_ns(service.pid) for service in services)
    command = [NODES_PROGRAM, "--url", central.url(), "--nodes", NODES, "--readings", READINGS]
    command += ["--batch", BATCH, "--quiet"]
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    seen = []

    def done():
        count = lab.database.consumed()
        if count > 0:
            seen.append((time.monotonic(), count))
        assert count == TOTAL, f"{count} of {TOTAL} are committed"
        return True

    try:
        eventually(done, "all is committed", 300, poll_s=POLL_S)
        assert process.wait(60) == 0, "not everything was answered"
    finally:
        process.kill()
        process.wait(10)
    (first, before), (last, _) = seen[0], seen[-1]
    cpu_us = (sum(cpu_ns(service.pid) for service in services) - begin_ns) / TOTAL / 1000
    rss = max(rss_peak_mb(service.pid) for service in services)
    stored = lab.database.count()
    assert stored == TOTAL, f"{stored} rows of {TOTAL} readings"
    return (TOTAL - before) / (last - first), cpu_us, rss


def measure(lab):
    """Each store in turn, several times; (record for bench.jsonl, rows of the table)."""
    runs = {store: [] for store in STORES}
    for number in range(ROUNDS):
        for store, ingests in STORES.items():
            directory = lab.directory / f"{store}-{number}"
            directory.mkdir()
            inner = Lab(directory, log_level="info")
            try:
                if store != "sqlite":
                    inner.use_postgres(settings=["max_wal_size=4GB"])
                runs[store].append(one_run(inner, ingests))
                inner.end()
            except AssertionError:
                lab.services += inner.services
                raise
            finally:
                inner.kill_all()
    middle = {store: [median(column) for column in zip(*runs[store])] for store in runs}
    rate, cpu_us, rss = middle["postgres"]
    record = {
        "bench": "postgres",
        "batch": BATCH,
        "nodes": NODES,
        "readings": TOTAL,
        "rate": round(rate),
        "cpu_us": round(cpu_us, 2),
        "rss_mb": round(rss, 1),
        "rates": [round(run[0]) for run in runs["postgres"]],
        "replicas_rate": round(middle["postgres_replicas"][0]),
        "sqlite_rate": round(middle["sqlite"][0]),
        "sqlite_cpu_us": round(middle["sqlite"][1], 2),
        "ratio_sqlite": round(rate / middle["sqlite"][0], 3),
    }
    what = f"batches of {BATCH} from {NODES} nodes, {TOTAL:,} readings"
    rows = [
        Row(f"{what}: PostgreSQL", rate, "rows/s", at_least=100_000),
        Row("the same, 3 replicas", middle["postgres_replicas"][0], "rows/s"),
        Row("the same, SQLite", middle["sqlite"][0], "rows/s"),
        Row("PostgreSQL to SQLite", record["ratio_sqlite"], "ratio"),
        Row("ingest-postgres, CPU a reading", cpu_us, "µs"),
        Row("ingest, CPU a reading", middle["sqlite"][1], "µs"),
        Row("ingest-postgres, memory at its peak", rss, "MB"),
    ]
    return record, rows
