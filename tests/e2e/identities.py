"""A folder of identities, made as people make theirs: by ci/provision.sh."""

import os
import subprocess
from functools import cached_property

from stack import DEV_IMAGE, REPO, Tools, docker

# What a container calls the machine that it runs on: a broker's published port is there.
BOARD = "host.docker.internal"


class Identities:
    """PROVISION_DIR of one test run; its files belong to the users of the services."""

    def __init__(self, name, broker=BOARD, nodes=()):
        self.name = name
        self.path = REPO / "build" / name
        self.remove()
        self.run("init", BROKER=broker, NODES=" ".join(nodes))

    def run(self, *arguments, check=True, project="dewpoint-none", **settings):
        """ci/provision.sh; the broker of that project learns of it."""
        running = self.begin(*arguments, project=project, **settings)
        try:
            out, err = running.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            running.kill()
            raise
        result = subprocess.CompletedProcess(running.args, running.returncode, out, err)
        if check and result.returncode != 0:
            raise AssertionError(f"provision {arguments} exited {result.returncode}: {result.stderr}")
        return result

    def begin(self, *arguments, project="dewpoint-none", **settings):
        """The same, while it runs."""
        command = [REPO / "ci/provision.sh", *arguments]
        env = {**os.environ, **settings, "PROVISION_DIR": f"build/{self.name}", "PROJECT": project}
        return subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def broker(self):
        """Settings of broker.yml or scale.yml."""
        return {"BROKER_ACCESS": "provisioned", "BROKER_IDENTITY": self.path / "broker"}

    def node(self, name, port, host=BOARD):
        """Settings of node.yml."""
        return {
            "NODE_NAME": name,
            "NODE_ACCESS": "provisioned",
            "NODE_IDENTITY": self.path / "nodes" / name,
            "UPSTREAM_URL": f"mqtts://{host}:{port}",
            "TLS_CA_FILE": "/identity/ca.crt",
            "TLS_CERT_FILE": "/identity/node.crt",
            "TLS_KEY_FILE": "/identity/node.key",
        }

    @cached_property
    def tools(self):
        """The folder, which is root's, as /identities."""
        return Tools("--network", "none", "-v", f"{self.path}:/identities", "-w", "/identities")

    def sh(self, command):
        """A command of the shell in the folder."""
        return self.tools.run("sh", "-c", command).stdout

    def read(self, path):
        """A file of the folder."""
        return self.tools.run("cat", path).stdout

    def remove(self):
        if "tools" in self.__dict__:
            self.tools.remove()
            del self.tools
        if self.path.exists():
            mount = ["-v", f"{self.path.parent}:/build"]
            docker("run", "--rm", "--user", "0", *mount, DEV_IMAGE, "rm", "-rf", f"/build/{self.name}")
