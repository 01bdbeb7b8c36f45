"""The fault matrix' system, with services of an older version in some places."""

import os
from pathlib import Path

import pytest

from fault.conftest import (  # noqa: F401
    Rows,
    add_row,
    pytest_addoption,
    pytest_generate_tests,
    pytest_runtest_makereport,
    pytest_terminal_summary,
    run,
    time_limit,
)
from harness.lab import Lab
from harness.service import BIN, ROOT

OLD = Path(os.environ.get("OLD_BIN", ROOT / "build/old/bin")).resolve()


def pytest_configure(config):
    config.pluginmanager.register(Rows(), "fault-rows")


def pytest_report_header():
    return f"services under test: {BIN}, beside {OLD}"


def pytest_sessionstart():
    for folder in (BIN, OLD):
        if not folder.is_dir():
            pytest.exit(f"no services in {folder}: make test-mixed builds them", returncode=2)


class MixedLab(Lab):
    """Whose services named in `old` are the older ones."""

    def __init__(self, directory, **options):
        super().__init__(directory, **options)
        self.old = set()

    def service(self, name, start=True, healthy=True, **settings):
        service = super().service(name, start=False, **settings)
        if name in self.old:
            become(service, "old")
        if start:
            service.start(healthy)
        return service


def become(service, age):
    """From its next start on, a service is of the old version or of today's."""
    service.command[0] = str({"old": OLD, "new": BIN}[age] / service.name)


@pytest.fixture
def lab(tmp_path):
    """Brokers and services of one case; whatever happens, nothing survives it."""
    with MixedLab(tmp_path, log_level="info") as lab:
        yield lab
