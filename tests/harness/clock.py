"""The clocks of a board, as tests/harness/clock_file.c reads them, and libfaketime for mosquitto."""

import os
import time
import uuid
from pathlib import Path

BUILT_LONG_AGO_S = 86400  # a wall clock on the second day of 1970: before any build
YEAR_2037_S = 2130000000  # some months before the last second that fits into 32 bits


class BoardClock:
    """What the services of one board take for the time; give it as CLOCK_FILE=clock.path.

    Set by what the wall clock shows now and how long ago the board has booted. A broker of that
    board is given clock.preload() as its environment.
    """

    def __init__(self, directory, **settings):
        self.path = Path(directory) / f"clock-{uuid.uuid4().hex[:8]}"
        self.faketime_path = self.path.with_suffix(".faketime")
        self.boot_id = str(uuid.uuid4())
        self.set(**settings)

    def set(self, wall_s=None, synchronised=True):
        """The wall clock shows wall_s now, or the right time."""
        shift_us = 0 if wall_s is None else round((wall_s - time.time()) * 1e6)
        words = [shift_us, 0, int(synchronised), self.boot_id]
        _replace(self.path, " ".join(str(word) for word in words) + "\n")
        _replace(self.faketime_path, f"{shift_us / 1e6:+.6f}\n")

    def reboot(self, **settings):
        """Another boot of the same board."""
        self.boot_id = str(uuid.uuid4())
        self.set(**settings)

    def preload(self):
        """Variables with which a program that is not ours has this wall clock; its others stay right."""
        libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
        assert libraries, "libfaketime is not installed"
        return {
            "LD_PRELOAD": str(libraries[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self.faketime_path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DISABLE_SHM": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def _replace(path, text):
    """At once: who reads it sees the old or the new."""
    temporary = path.with_suffix(".new")
    temporary.write_text(text)
    os.replace(temporary, path)
