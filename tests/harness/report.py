"""What a failed test shows: the end of every log it produced. For a conftest to import."""

import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows the end of every log it produced."""
    outcome = yield
    report = outcome.get_result()
    lab = item.funcargs.get("lab") if hasattr(item, "funcargs") else None
    if report.failed and lab is not None:
        for name, text in lab.log_tails():
            report.sections.append((f"stderr of {name}", text))
