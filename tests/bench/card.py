"""A card of a board's own: ext4 on a loop device, whose sectors the kernel counts."""

import datetime
import json
import subprocess
import threading
from pathlib import Path

SECTOR = 512
SECTORS_WRITTEN = 6  # field 7 of /sys/block/<device>/stat
POLL_S = 0.1


def _run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))}: {done.stderr.strip()};"
        " loop devices and mounts are for root: make bench-wear"
    )
    return done.stdout.strip()


class Card:
    """Mounted at `folder`; free space is as sparse as the file that it lies in."""

    def __init__(self, directory, size="1G"):
        directory.mkdir()
        self.folder = directory / "card"
        self.folder.mkdir()
        image = directory / "image"
        _run("truncate", "-s", size, image)
        # What mkfs leaves for later the kernel would write during the measurement.
        _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
        # The kernel frees the device at the unmount, and unmounts when the container ends.
        _run("mount", "-o", "loop", image, self.folder)
        device = _run("findmnt", "-n", "-o", "SOURCE", self.folder)
        self._stat = Path("/sys/block") / Path(device).name / "stat"

    def written(self):
        """Bytes that have reached the device, with all that was on its way."""
        _run("sync", "-f", self.folder)
        return int(self._stat.read_text(encoding="ascii").split()[SECTORS_WRITTEN]) * SECTOR

    def close(self):
        _run("umount", "-l", self.folder)


class ContainerLog(threading.Thread):
    """The output of processes, kept on the card as Docker's json-file driver keeps it.

    A file a container, a JSON object a line, written as the line comes and never synced. The
    processes write into files elsewhere.
    """

    def __init__(self, folder, processes):
        super().__init__(daemon=True)
        self._ended = threading.Event()
        folder.mkdir()
        self._streams = []
        for number, process in enumerate(processes):
            log = open(folder / f"{process.name}-{number}-json.log", "ab", buffering=0)
            for stream, path in (("stdout", process.stdout_path), ("stderr", process.stderr_path)):
                self._streams.append((stream, open(path, "rb"), log))
        self.lines = 0

    def run(self):
        while not self._ended.wait(POLL_S):
            self._follow()

    def _follow(self):
        for stream, source, log in self._streams:
            at = source.tell()
            text = source.read()
            whole = text[: text.rfind(b"\n") + 1]
            source.seek(at + len(whole))
            for line in whole.decode(errors="replace").splitlines():
                now = datetime.datetime.now(datetime.timezone.utc).isoformat()
                entry = {"log": line + "\n", "stream": stream, "time": now}
                log.write(json.dumps(entry).encode() + b"\n")
                self.lines += 1

    def stop(self):
        self._ended.set()
        self.join(10)
        for _, source, log in self._streams:
            source.close()
            log.close()
