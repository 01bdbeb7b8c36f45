"""Fixtures and limits of the integration tests."""

import pytest

from harness.lab import Lab
from harness.limit import time_limit_of
from harness.odd_broker import OddBroker
from harness.report import pytest_runtest_makereport  # noqa: F401
from harness.service import BIN

TEST_LIMIT_S = 120


def pytest_report_header():
    return f"services under test: {BIN}"


def pytest_sessionstart():
    if not BIN.is_dir():
        pytest.exit(f"no services in {BIN}: build them, or set BIN", returncode=2)


@pytest.fixture(autouse=True)
def time_limit(request):
    """No test hangs: past the limit, its file's LIMIT_S if there is one, it fails where it stands."""
    with time_limit_of(getattr(request.module, "LIMIT_S", TEST_LIMIT_S), "test"):
        yield


@pytest.fixture
def odd():
    """odd(...): an OddBroker, closed after the test."""
    brokers = []

    def make(**options):
        brokers.append(OddBroker(**options))
        return brokers[-1]

    yield make
    for broker in brokers:
        broker.close()


def pytest_generate_tests(metafunc):
    """A test with the mark `stores` runs with each database; the others with SQLite."""
    if "lab" in metafunc.fixturenames and metafunc.definition.get_closest_marker("stores"):
        metafunc.parametrize("lab", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def lab(tmp_path, request):
    """Brokers and services of one test; whatever happens, nothing survives it."""
    with Lab(tmp_path) as lab:
        if getattr(request, "param", "sqlite") == "postgresql":
            lab.use_postgres()
        yield lab
        lab.end()


@pytest.fixture
def local(lab):
    """The node's broker."""
    return lab.broker()


@pytest.fixture
def central(lab):
    """The broker stack's broker."""
    return lab.broker()
