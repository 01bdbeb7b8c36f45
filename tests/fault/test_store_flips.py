"""Case: a bit of the database is flipped, of each byte in turn, under ingest's own code."""

import re
import subprocess

from harness.service import BIN, clean_env

PROGRAM = BIN.parent / "test/store_flips"


def test_store_flips(tmp_path, request):
    """Unaffected, set aside or refused with a reason; altered only where the bit was; never without end."""
    every = 1 if request.config.getoption("--full") else 151
    done = subprocess.run(
        [str(PROGRAM), str(tmp_path), str(every)],
        env=clean_env({}),
        capture_output=True,
        text=True,
        timeout=3000,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    figures = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", done.stdout)}
    assert figures["flips"] >= figures["bytes"] // every
    assert figures["unaffected"] and figures["aside"], done.stdout
