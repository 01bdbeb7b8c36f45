"""A board: a container with a Docker Engine, images and a network of its own, and nothing else."""

import os
import re
import subprocess
from pathlib import Path

from stack import DOCKER, docker

from harness.wait import eventually

ENGINE_IMAGE = os.environ.get("ENGINE_IMAGE") or "localhost/dewpoint/engine:latest"
# The owner of a file that somebody unpacked who is not root.
SOMEBODY = "1000:1000"


class Board:
    """engine: trixie, containerd or bookworm (ci/image/engine.sh)."""

    def __init__(self, name, network, engine="trixie"):
        self.name = name
        options = ["-d", "--privileged", "--name", name, "--network", network, "-w", "/root"]
        # On a volume, as an engine's own storage cannot lie on another's layers.
        options += ["-v", "/var/lib/docker"]
        docker("run", *options, ENGINE_IMAGE, engine)

        def ready():
            said = docker("logs", name)
            assert docker("inspect", "-f", "{{.State.Running}}", name).stdout.strip() == "true", said.stdout
            return re.search(r"ready: (\S+)", said.stdout)

        self.version = eventually(ready, f"the engine of {name} answers", 60)[1]

    def remove(self):
        docker("rm", "-fv", self.name, check=False)

    @property
    def address(self):
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", "-f", form, self.name).stdout.strip()

    def run(self, *command, check=True, user="0", folder="/root", timeout=180, **env):
        """A command on the board; its result."""
        settings = [word for name, value in env.items() for word in ("-e", f"{name}={value}")]
        options = ["-u", user, "-w", folder, *settings]
        return docker("exec", *options, self.name, *command, check=check, timeout=timeout)

    def sh(self, script, check=True, folder="/root"):
        return self.run("sh", "-euc", script, check=check, folder=folder).stdout

    def put(self, file):
        """Copy a file to the board; its place there."""
        docker("cp", file, f"{self.name}:/root/")
        return f"/root/{Path(file).name}"

    def unpack(self, bundle):
        """As root, in /root; the folder that came out of it."""
        self.run("tar", "-xf", self.put(bundle))
        return f"/root/{Path(bundle).stem}"

    def start(self, folder, check=True, **settings):
        """./start; its result."""
        done = self.run("./start", folder=folder, check=False, **settings)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def refuses(self, folder, user="0", **settings):
        """The one line that ./start says when it does not start, without its name."""
        done = self.run("./start", folder=folder, user=user, check=False, **settings)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stdout == "" and len(done.stderr.splitlines()) == 1, done.stdout + done.stderr
        assert done.stderr.startswith("start: ")
        return done.stderr.removeprefix("start: ").strip()

    def compose(self, folder, *arguments):
        return self.run("docker", "compose", *arguments, folder=folder)

    def images(self, folder):
        """{service: image} of what runs."""
        form = "{{.Service}} {{.Image}}"
        return dict(line.split() for line in self.compose(folder, "ps", "--format", form).stdout.splitlines())

    def container(self, folder, service):
        return self.compose(folder, "ps", "-a", "-q", service).stdout.strip()

    def running(self, folder):
        """{container: since when it runs}."""
        form = "{{.Id}} {{.State.StartedAt}}"
        ids = self.compose(folder, "ps", "-q").stdout.split()
        return dict(line.split() for line in self.run("docker", "inspect", "-f", form, *ids).stdout.splitlines())

    def logs(self, folder, service, *options):
        """Its output, without what it says in its log."""
        return self.run("docker", "logs", *options, self.container(folder, service)).stdout

    def copy(self, folder, service, path, target):
        """A file out of a container, running or not."""
        source = f"{self.container(folder, service)}:{path}"
        archive = docker("exec", self.name, "docker", "cp", source, "-", binary=True).stdout
        subprocess.run(["tar", "-C", target.parent, "-xf", "-"], input=archive, check=True)
        (target.parent / Path(path).name).rename(target)
        return target


def script(path, *arguments, **env):
    """One of ci/'s, in the repository."""
    command = [str(path), *arguments]
    done = subprocess.run(
        command,
        env=os.environ | {"DOCKER": DOCKER} | env,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
