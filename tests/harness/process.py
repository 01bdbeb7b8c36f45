"""One child process with its output in files; only ever signalled by its own handle."""

import os
import signal
import subprocess
import time
from pathlib import Path


class Process:
    """A program that a test starts, may kill and start again in the same directory."""

    def __init__(self, name, command, directory, env):
        self.name = name
        self.command = [str(part) for part in command]
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.env = env
        self.stdout_path = self.directory / "stdout"
        self.stderr_path = self.directory / "stderr"
        self.child = None

    def spawn(self):
        """Start it; output of earlier runs stays in the files."""
        assert not self.running(), f"{self.name} runs already"
        with open(self.stdout_path, "ab") as out, open(self.stderr_path, "ab") as err:
            self.child = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.env
            )

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child is not None and self.child.poll() is None

    def wait_exit(self, deadline_s):
        """Return the exit status; fail when it still runs after deadline_s."""
        try:
            return self.child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline_s:g} s") from None

    def terminate(self, deadline_s):
        """SIGTERM; return (exit status, seconds it took)."""
        begin = time.monotonic()
        self.child.send_signal(signal.SIGTERM)
        return self.wait_exit(deadline_s), time.monotonic() - begin

    def kill(self):
        """SIGKILL, and wait until it is gone. Harmless when it is."""
        if self.running():
            self.child.kill()
            self.child.wait(10)

    def freeze(self):
        """SIGSTOP: alive for the kernel, dead for everyone else."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)

    def stdout(self):
        return _read(self.stdout_path)

    def stderr(self):
        return _read(self.stderr_path)


def _read(path):
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
