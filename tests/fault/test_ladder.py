"""The k-th call fails, for every k; every bit is flipped. outbox_ladder.c, outbox_flips.c."""

import re
import subprocess

import pytest

from harness.service import BIN, clean_env

MODES = """files-once files-full-once files-some files-for-good memory-once memory-for-good
rows-once rows-some rows-memory calls-once calls-for-good damaged-once damaged-for-good
damaged-calls-for-good damaged-memory-once""".split()


def run(program, directory, *arguments):
    done = subprocess.run(
        [str(BIN.parent / "test" / program), str(directory), *map(str, arguments)],
        env=clean_env({}),
        capture_output=True,
        text=True,
        timeout=1100,
    )
    at = directory / "rung"
    where = at.read_text() if at.exists() else ""
    assert done.returncode == 0, f"at {where}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return [
        {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}
        for line in done.stdout.splitlines()
    ]


@pytest.mark.parametrize("mode", MODES)
def test_the_outbox_recovers_from_any_call_that_fails(tmp_path, request, mode):
    """Nothing accepted is lost, and the publisher works again once calls succeed."""
    every = 1 if request.config.getoption("--full") else 7
    (figures,) = run("outbox_ladder", tmp_path, every, mode)
    # The last rung is the one that nothing fails in.
    assert figures["rungs"] > 1 and figures["wrong"] == 0


def test_one_bit_of_the_outbox_is_flipped(tmp_path, request):
    """It goes on, sets the file aside, or says why not: no signal, no loop, nothing new lost."""
    every = 1 if request.config.getoption("--full") else 37
    (figures,) = run("outbox_flips", tmp_path, every)
    assert figures["wrong"] == 0
    assert figures["flips"] * every >= figures["size"]
    assert figures["unaffected"] and figures["partly"] and figures["aside"]
