"""One Compose project, driven with the commands a user types, watched from outside."""

import json
import os
import re
import socket
import subprocess
import tarfile
from functools import cache, cached_property
from io import BytesIO
from pathlib import Path

from harness.wait import eventually

REPO = Path(__file__).resolve().parents[2]
REGISTRY = os.environ.get("REGISTRY") or "localhost/dewpoint"
TAG = os.environ.get("TAG") or "latest"
DOCKER = os.environ.get("DOCKER") or "docker"
DEV_IMAGE = os.environ.get("DEV_IMAGE") or "localhost/dewpoint/dev:latest"


def free_port():
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


def image(name):
    return f"{REGISTRY}/{name}:{TAG}"


def docker(*arguments, check=True, binary=False, env=None, timeout=180):
    """Run docker; its result, with text unless binary."""
    command = [DOCKER, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=not binary, env=env, timeout=timeout)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(command)} exited {result.returncode}:\n{result.stderr}")
    return result


class Tools:
    """A container of the toolchain image that stays, root in it, for one command after another.

    One for each command takes several times as long. It ends by itself where nobody removes it.
    """

    LIFE_S = 7200

    def __init__(self, *options):
        command = [*options, DEV_IMAGE, "sleep", self.LIFE_S]
        self.id = docker("run", "--detach", "--rm", "--init", "--user", "0", *command).stdout.strip()

    def run(self, *command, **options):
        """Options are those of docker()."""
        return docker("exec", self.id, *command, **options)

    def remove(self):
        docker("rm", "--force", self.id, check=False)


@cache
def host_tools():
    """Sees every process of this machine; conftest.py removes it."""
    return Tools("--pid", "host", "--network", "none", "--cap-add", "SYS_PTRACE")


class Container:
    """A running container, as the engine and its own /proc describe it."""

    def __init__(self, identity):
        self.id = identity
        self.state = json.loads(docker("inspect", identity).stdout)[0]
        labels = self.state["Config"]["Labels"]
        self.service = labels["com.docker.compose.service"]
        self.is_mosquitto = self.service.endswith("mosquitto")

    def __repr__(self):
        return self.service

    def health(self):
        return self.state["State"].get("Health", {}).get("Status")

    @cached_property
    def proc(self):
        """(status as {name: value}, mountinfo as lists of words) of the process.

        Read from outside, as the container has no program that could.
        """
        pid = self.state["State"]["Pid"]
        files = [f"/proc/{pid}/status", f"/proc/{pid}/mountinfo"]
        lines = host_tools().run("cat", *files).stdout.splitlines()
        status = dict(re.split(r":\s*", line, maxsplit=1) for line in lines if re.match(r"\w+:", line))
        mounts = [line.split() for line in lines if line[0].isdigit()]
        return status, mounts

    def programs(self):
        """Names of all executable files and links of the image."""
        archive = docker("export", self.id, binary=True).stdout
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            return [
                member.name
                for member in tar.getmembers()
                if (member.isfile() and member.mode & 0o111 and member.size) or member.issym()
            ]


class Reader:
    """sqlite3 on a volume's database, for one query after another."""

    END = "-- end of the rows"

    def __init__(self, volume):
        target = ["-v", f"{volume}:/data", image("tool"), "-cmd", ".timeout 5000"]
        command = [DOCKER, "run", "-i", "--rm", "--network", "none", *target]
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(
            [*command, "file:/data/broker.db?mode=ro"], stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True
        )

    def lines(self, sql):
        """What it prints for it, rows or an error; None: it has ended, as there is no database yet."""
        lines = []
        try:
            self._child.stdin.write(f"{sql.rstrip(';')};\n.print {self.END}\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended, and said why
        for line in self._child.stdout:
            if line.rstrip("\n") == self.END:
                return lines
            lines.append(line.rstrip("\n"))
        if not any("unable to open database" in line for line in lines):
            raise RuntimeError("\n".join(lines))  # not an AssertionError: waiting does not help
        return None

    def close(self):
        try:
            self._child.stdin.close()
        except BrokenPipeError:
            pass
        self._child.stdout.close()
        self._child.wait(timeout=60)


class Stack:
    """A project of one Compose file. Settings are the only environment it sees."""

    def __init__(self, project, file, override=None, **settings):
        self.project = project
        self.files = [REPO / "compose" / file] + ([override] if override else [])
        self.settings = settings
        self._reader = None

    def compose(self, *arguments, check=True, timeout=180):
        """docker compose, with no .env of the user's in the way."""
        if arguments[0] not in ("ps", "--ansi"):
            self._end_reading()  # who stops is to find itself alone with the database
        env = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
        env |= {"REGISTRY": REGISTRY, "TAG": TAG, **{k: str(v) for k, v in self.settings.items()}}
        files = [word for file in self.files for word in ("-f", file)]
        options = ["-p", self.project, "--env-file", "/dev/null", *files]
        return docker("compose", *options, *arguments, check=check, env=env, timeout=timeout)

    def up(self, *arguments):
        self.compose("up", "--detach", "--no-build", *arguments)

    def containers(self):
        return [Container(name) for name in self.compose("ps", "--all", "-q").stdout.split()]

    def container(self, service):
        return next(c for c in self.containers() if c.service == service)

    def all_healthy(self, deadline_s=60):
        def healthy():
            states = {f"{c.service} {c.id[:6]}": c.health() for c in self.containers()}
            assert states and set(states.values()) == {"healthy"}, states
            return True

        return eventually(healthy, f"every container of {self.project} is healthy", deadline_s)

    def query(self, sql):
        """Rows of the project's database as lists of strings; none before it exists."""
        if self._reader is None:
            self._reader = Reader(f"{self.project}_store")
        lines = self._reader.lines(sql)
        if lines is None:
            self._end_reading()
            return []
        if lines and ("rror" in lines[0] and "near line" in lines[0]):
            if "no such table" in lines[0] or "no such view" in lines[0]:
                return []
            raise RuntimeError("\n".join(lines))  # not an AssertionError: waiting does not help
        return [line.split("|") for line in lines]

    def _end_reading(self):
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def copy(self, service, path, target):
        """Copy a file out of a container, running or not; whether it was there."""
        self._end_reading()
        source = f"{self.container(service).id}:{path}"
        return docker("cp", source, target, check=False).returncode == 0

    def stdout(self, service):
        return docker("logs", self.container(service).id).stdout

    def logs(self):
        text = self.compose("--ansi", "never", "logs", "--tail", "15", check=False).stdout
        return text.replace("\x1b[2K", "")

    def remove(self):
        """Containers, network and volumes of this project, whatever state they are in."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5", check=False)


PAPER_LINE = re.compile(r"^Topic=(\S+), Temp=(-?\d+\.\d)°C, Humidity=(\d+\.\d)%$")
