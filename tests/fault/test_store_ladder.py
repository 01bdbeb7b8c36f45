"""Case: the k-th call fails, for every k, under the code that stores in SQLite."""

import re
import subprocess

import pytest

from harness.service import BIN, clean_env

PROGRAM = BIN.parent / "test/store_ladder"

# Which calls; how many fail in a row; each so many-th in the short form.
LADDERS = [
    ("calls", 1, 1),
    ("calls", 1000000, 3),
    ("files", 1, 61),
    ("files", 4, 61),
    ("files", 1000000, 61),
    ("full", 1, 61),
    ("full", 1000000, 61),
    ("memory", 1, 997),
    ("memory", 1000000, 997),
]


@pytest.mark.parametrize("calls,failing,every", LADDERS)
def test_store_ladder(tmp_path, request, calls, failing, every):
    """What was accepted is stored; once calls succeed all is taken, once, and no file set aside."""
    every = 1 if request.config.getoption("--full") else every
    done = subprocess.run(
        [str(PROGRAM), str(tmp_path), calls, str(every), str(failing)],
        env=clean_env({}),
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert int(re.search(r"runs=(\d+)", done.stdout)[1]) > 3, done.stdout
