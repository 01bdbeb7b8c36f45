"""Options, limits and the table of the fault matrix."""

import json
import os
import random
from pathlib import Path

import pytest

from fault.run import COLUMNS, Run
from fault.systems import OPEN
from harness.lab import Lab
from harness.limit import time_limit_of
from harness.report import pytest_runtest_makereport  # noqa: F401
from harness.service import BIN, ROOT

LIMIT_S = {"short": 180, "full": 1200}
TABLE = Path(os.environ.get("FAULT_TABLE", ROOT / "build/fault.jsonl"))


def pytest_addoption(parser):
    parser.addoption("--full", action="store_true", help="20,000 readings, three seeds, long outages")
    parser.addoption("--seeds", default=None, help="comma-separated, in place of 1 or 1,2,3")


class Rows:
    """The table's rows, from reports: they come from every worker."""

    def __init__(self):
        self.rows = []

    def pytest_runtest_logreport(self, report):
        if report.when == "teardown":
            self.rows += [row for name, row in report.user_properties if name == "fault_row"]


def pytest_configure(config):
    config.pluginmanager.register(Rows(), "fault-rows")


def pytest_report_header():
    return f"services under test: {BIN}; brokers {'open to all' if OPEN else 'provisioned'}"


def pytest_sessionstart():
    if not BIN.is_dir():
        pytest.exit(f"no services in {BIN}: build them, or set BIN", returncode=2)


def pytest_collection_modifyitems(config, items):
    """The comparison with a bridge is a measurement of something else: in the whole form only."""
    if not config.getoption("--full"):
        chosen = [item for item in items if not item.get_closest_marker("bridge")]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def pytest_generate_tests(metafunc):
    full = metafunc.config.getoption("--full")
    if "seed" in metafunc.fixturenames:
        seeds = metafunc.config.getoption("--seeds") or ("1,2,3" if full else "1")
        metafunc.parametrize("seed", [int(seed) for seed in seeds.split(",")])
    if "away_s" in metafunc.fixturenames:
        metafunc.parametrize("away_s", [10, 120] if full else [10])


@pytest.fixture(autouse=True)
def time_limit(request):
    """No case hangs: past the limit it fails where it stands."""
    limit_s = LIMIT_S["full" if request.config.getoption("--full") else "short"]
    with time_limit_of(limit_s, "case"):
        yield


@pytest.fixture
def lab(tmp_path):
    """Brokers and services of one case; whatever happens, nothing survives it."""
    with Lab(tmp_path, log_level="info") as lab:
        yield lab


@pytest.fixture
def add_row(request):
    """add_row(dict of COLUMNS): into the table, printed at once."""

    def add(row):
        request.node.user_properties.append(("fault_row", row))
        line = "  ".join(f"{name} {row[name]}" for name in COLUMNS)
        capture = request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\n{line}", flush=True)

    return add


@pytest.fixture
def run(lab, request, seed, add_row):
    """The case's system, seed and verdict."""
    name = request.node.originalname.removeprefix("test_").replace("_", " ")
    run = Run(lab, name, seed, request.config.getoption("--full"), random.Random(seed), add_row)
    try:
        yield run
    finally:
        run.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, run):
    """The same case with each store; with PostgreSQL, a server of the case's own."""
    if request.param == "postgresql":
        run.name = "postgresql " + run.name
        run.lab.use_postgres()


def pytest_terminal_summary(terminalreporter, config):
    rows = config.pluginmanager.getplugin("fault-rows").rows
    if not rows:
        return
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    with TABLE.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    widths = [max(len(str(row[name])) for row in rows + [dict(zip(COLUMNS, COLUMNS))]) for name in COLUMNS]
    terminalreporter.write_line("")
    for row in [dict(zip(COLUMNS, COLUMNS))] + rows:
        cells = [str(row[name]).rjust(width) for name, width in zip(COLUMNS[1:], widths[1:])]
        terminalreporter.write_line("  ".join([str(row["case"]).ljust(widths[0])] + cells))
