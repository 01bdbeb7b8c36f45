"""One of Dewpoint's services as a process with a run directory of its own."""

import os
import re
import shlex
import subprocess
from pathlib import Path

from harness.process import Process
from harness.wait import eventually

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("BIN", ROOT / "build/asan/bin")).resolve()

# SIGTERM ends a service within 2 s. Sanitizers stretch that: they look for
# leaks at exit, and ThreadSanitizer slows every step.
STOP_S = {"asan": 6.0, "tsan": 10.0}.get(BIN.parent.name, 2.0)

SANITIZER_REPORT = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|: runtime error: |DEADLYSIGNAL"
)
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=99",
}


def clean_env(settings):
    """The environment of a service: its settings and nothing that the caller's shell had."""
    env = {"PATH": os.environ["PATH"], **SANITIZER_OPTIONS}
    env.update({name: str(value) for name, value in settings.items() if value is not None})
    return env


def binary(name, settings):
    """The build that such settings want: of a clock or of chips that the test sets."""
    folder = BIN
    for setting, build in (("CLOCK_FILE", "clocked"), ("GPIO_FAKE", "faked")):
        folder = BIN.parent / build if setting in settings else folder
    return folder / name


def run_service(name, *arguments, timeout_s=20, stdin="", **settings):
    """Run a service's binary to its end, as for --help or a bad setting."""
    return subprocess.run(
        [str(binary(name, settings)), *arguments],
        env=clean_env(settings),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


class Service(Process):
    """A running service; ends with stop(), kill() or the lab's end.

    With CLOCK_FILE it is the build whose clock the test sets (harness/clock.py).
    """

    def __init__(self, name, directory, settings):
        self.run_dir = Path(directory)
        self.settings = {"RUN_DIR": str(self.run_dir), **settings}
        super().__init__(name, [binary(name, settings)], directory, clean_env(self.settings))

    def start(self, healthy=True):
        self.spawn()
        if healthy:
            self.wait_healthy()
        return self

    def health(self):
        """Ask it by --healthcheck: (exit code, the line it printed)."""
        answer = subprocess.run(
            [*self.command, "--healthcheck"],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
        )
        return answer.returncode, answer.stdout.strip()

    def wait_healthy(self):
        def healthy():
            assert self.running(), f"{self.name} ended: {self.stderr()[-2000:]}"
            code, line = self.health()
            assert code == 0, line
            return True

        eventually(healthy, f"{self.name} is healthy")

    def stop(self):
        """SIGTERM: exit status 0, and within the contract's time."""
        status, seconds = self.terminate(STOP_S + 10)
        assert status == 0, f"{self.name} exited {status} on SIGTERM: {self.stderr()[-2000:]}"
        assert seconds <= STOP_S, f"{self.name} took {seconds:.1f} s to stop, allowed {STOP_S:g}"

    def restart(self, healthy=True):
        """SIGKILL and start again with the same settings and files."""
        self.kill()
        return self.start(healthy)

    def events(self):
        """Its log as dictionaries, one per complete logfmt line."""
        lines = self.stderr().split("\n")[:-1]
        return [logfmt(line) for line in lines if line.startswith("level=")]

    def connections(self, broker):
        """How often it has connected to this broker."""
        place = f"{broker.host}:{broker.port}"
        return sum(e["msg"] == "connected" and e.get("broker") == place for e in self.events())

    def check_sanitizers(self):
        found = SANITIZER_REPORT.search(self.stderr())
        assert not found, f"sanitizer report of {self.name}:\n{self.stderr()[-6000:]}"


def logfmt(line):
    fields = {}
    for part in shlex.split(line):
        key, _, value = part.partition("=")
        fields[key] = value
    return fields
