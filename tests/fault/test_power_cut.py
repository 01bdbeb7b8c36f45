"""Case 7: the power goes, at any instant, under the outbox and under the database."""

import re
import subprocess

import pytest

from fault.run import COLUMNS
from harness.service import BIN, clean_env

PROGRAM = BIN.parent / "test/power_cut"


def cut_power(directory, file, cuts, seed, *options):
    """Run power_cut (its head says what it does) to its end."""
    return subprocess.run(
        [str(PROGRAM), file, str(directory), str(cuts), str(seed), *options],
        env=clean_env({}),
        capture_output=True,
        text=True,
        timeout=1000,
    )


@pytest.mark.parametrize("file", ["outbox", "database"])
def test_power_cuts(tmp_path, request, add_row, seed, file):
    """Each file opens, is whole, and holds what was accepted, once."""
    cuts = 200 if request.config.getoption("--full") else 20
    done = cut_power(tmp_path, file, cuts, seed)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", done.stdout)}
    assert figures["cuts"] == cuts
    row = {name: figures.get(name, 0) for name in COLUMNS}
    add_row({**row, "case": f"power cut {cuts} times under the {file}", "seed": seed})


@pytest.mark.parametrize("file", ["outbox", "database"])
def test_a_disk_that_lies_about_syncs_is_found_out(tmp_path, file):
    """The check can fail: with syncs that do nothing it finds what is lost or damaged."""
    done = cut_power(tmp_path, file, 20, 1, "--ignore-sync")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search("missing|damaged|does not open|cannot be read|removed reading", done.stdout)
