"""A small file system of a test's own, that can be full or read-only.

The tests run in a user namespace in which they may mount (ci/test.sh); outside of it
nothing is seen of it.
"""

import subprocess

CHUNK = b"\0" * 65536


class Volume:
    """A tmpfs at a folder."""

    def __init__(self, folder, size="64m"):
        self.folder, self.size = folder, size
        self.folder.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={size}", "none")

    def _mount(self, *words):
        done = subprocess.run(
            ["mount", *words, str(self.folder)], capture_output=True, text=True, timeout=10
        )
        assert done.returncode == 0, (
            f"cannot mount: {done.stderr.strip()}; the tests need a user namespace of their own:"
            " unshare -Urm python3 -m pytest tests/fault"
        )

    def fill(self):
        """Not one more block can be had."""
        with (self.folder / "filler").open("ab", buffering=0) as file:
            size = len(CHUNK)
            while size >= 1:
                try:
                    file.write(CHUNK[:size])
                except OSError:
                    size //= 2

    def free(self):
        (self.folder / "filler").unlink()

    def read_only(self, on):
        """Only while nobody has a file open for writing."""
        self._mount("-o", f"remount,size={self.size},{'ro' if on else 'rw'}")

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True, timeout=10)
