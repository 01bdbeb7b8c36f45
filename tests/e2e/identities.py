"""A folder of identities, made as people make theirs: by ci/provision.sh."""

import os
import subprocess

from stack import DEV_IMAGE, REPO, docker

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
        command = [REPO / "ci/provision.sh", *arguments]
        env = {**os.environ, **settings, "PROVISION_DIR": f"build/{self.name}", "PROJECT": project}
        result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
        if check and result.returncode != 0:
            raise AssertionError(f"provision {arguments} exited {result.returncode}: {result.stderr}")
        return result

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

    def read(self, path):
        """A file of the folder, which is root's."""
        mount = ["-v", f"{self.path}:/identities:ro"]
        return docker("run", "--rm", "--user", "0", *mount, DEV_IMAGE, "cat", f"/identities/{path}").stdout

    def remove(self):
        if self.path.exists():
            mount = ["-v", f"{self.path.parent}:/build"]
            docker("run", "--rm", "--user", "0", *mount, DEV_IMAGE, "rm", "-rf", f"/build/{self.name}")
