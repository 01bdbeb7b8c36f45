"""Projects of their own names for every run, removed whatever happens."""

import secrets

import pytest
from identities import Identities
from stack import Stack

RUN = f"dewpoint-e2e-{secrets.token_hex(3)}"


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


@pytest.fixture(scope="module")
def new_identities():
    """new_identities(name, ...): a folder of identities that is removed after the module's tests."""
    made = []

    def make(name, **options):
        made.append(Identities(f"{RUN}-{name}", **options))
        return made[-1]

    try:
        yield make
    finally:
        for identities in made:
            identities.remove()
