"""End-to-end tests of the Compose stacks."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fixtures import new_identities, new_stack, pytest_runtest_makereport  # noqa: E402, F401
from stack import docker, host_tools  # noqa: E402


def pytest_sessionstart():
    if docker("version", check=False).returncode != 0:
        pytest.exit("no Docker Engine answers: run these with `make e2e`", returncode=2)


def pytest_sessionfinish():
    if host_tools.cache_info().currsize:
        host_tools().remove()
