"""Fixtures and limits of the integration tests."""

import signal

import pytest

from harness.lab import Lab
from harness.report import pytest_runtest_makereport  # noqa: F401
from harness.service import BIN

TEST_LIMIT_S = 120


def pytest_report_header():
    return f"services under test: {BIN}"


def pytest_sessionstart():
    if not BIN.is_dir():
        pytest.exit(f"no services in {BIN}: build them, or set BIN", returncode=2)


@pytest.fixture(autouse=True)
def time_limit():
    """No test hangs: past the limit it fails where it stands."""

    def expired(_signal, _frame):
        raise TimeoutError(f"the test took longer than {TEST_LIMIT_S} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.alarm(TEST_LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


def pytest_generate_tests(metafunc):
    """A test with the mark `stores` runs with each database; the others with SQLite."""
    if "lab" in metafunc.fixturenames and metafunc.definition.get_closest_marker("stores"):
        metafunc.parametrize("lab", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def lab(tmp_path, request):
    """Brokers and services of one test; whatever happens, nothing survives it."""
    lab = Lab(tmp_path)
    try:
        if getattr(request, "param", "sqlite") == "postgresql":
            lab.use_postgres()
        yield lab
        lab.end()
    finally:
        lab.kill_all()


@pytest.fixture
def local(lab):
    """The node's broker."""
    return lab.broker()


@pytest.fixture
def central(lab):
    """The broker stack's broker."""
    return lab.broker()
