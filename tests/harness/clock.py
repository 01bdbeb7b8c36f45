"""The clocks of a board, as tests/harness/clock_file.c reads them."""

import os
import time
import uuid
from pathlib import Path

BUILT_LONG_AGO_S = 86400  # a wall clock on the second day of 1970: before any build


class BoardClock:
    """What the services of one board take for the time; give it as CLOCK_FILE=clock.path.

    Set by what the wall clock shows now and how long ago the board has booted.
    """

    def __init__(self, directory, **settings):
        self.path = Path(directory) / f"clock-{uuid.uuid4().hex[:8]}"
        self.boot_id = str(uuid.uuid4())
        self.set(**settings)

    def set(self, wall_s=None, synchronised=True):
        """The wall clock shows wall_s now, or the right time."""
        shift_us = 0 if wall_s is None else round((wall_s - time.time()) * 1e6)
        words = [shift_us, 0, int(synchronised), self.boot_id]
        temporary = self.path.with_suffix(".new")
        temporary.write_text(" ".join(str(word) for word in words) + "\n")
        os.replace(temporary, self.path)

    def reboot(self, **settings):
        """Another boot of the same board."""
        self.boot_id = str(uuid.uuid4())
        self.set(**settings)
