"""Projects of their own names for every run, removed whatever happens."""

import secrets
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stack import Stack, docker  # noqa: E402

RUN = f"dewpoint-e2e-{secrets.token_hex(3)}"


def pytest_sessionstart():
    if docker("version", check=False).returncode != 0:
        pytest.exit("no Docker Engine answers: run these with `make e2e`", returncode=2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows the last words of its containers."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for stack in _stacks:
            report.sections.append((f"logs of {stack.project}", stack.logs()))


_stacks = []


@pytest.fixture(scope="module")
def new_stack():
    """new_stack(name, file, ...): a project that is removed after the module's tests."""

    def make(name, file, **options):
        stack = Stack(f"{RUN}-{name}", file, **options)
        _stacks.append(stack)
        return stack

    try:
        yield make
    finally:
        while _stacks:
            _stacks.pop().remove()
