"""A real mosquitto on a free loopback port."""

import itertools
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple

from harness.certs import Certificates
from harness.process import Process
from harness.wait import eventually

HOST = "127.0.0.1"


# Below the ports that the kernel gives to outgoing connections: a server that was killed
# finds its port again. Test workers that run side by side have 400 each.
FIRST_PORT, PORTS = 12000, 400
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_ports = itertools.cycle(range(FIRST_PORT + _worker * PORTS, FIRST_PORT + (_worker + 1) * PORTS))


def free_port():
    """A port nobody listens on, and that this worker has not used for long."""
    for port in itertools.islice(_ports, PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def find_mosquitto():
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    assert found, "mosquitto is not installed"
    return found


def _settings_of(path):
    ours = ("listener", "allow_anonymous", "persistence_location", "log_dest", "include_dir")
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [line for line in lines if line[0] != "#" and line.split()[0] not in ours]


class Door(NamedTuple):
    """One of a broker's listeners, in place of the broker where services and clients take one."""

    host: str
    port: int
    certificates: Certificates | None = None

    def url(self):
        return f"{'mqtts' if self.certificates else 'mqtt'}://{self.host}:{self.port}"


class Broker:
    """Configuration, start, SIGKILL and restart of one mosquitto on one port.

    host          the address that it listens on
    certificates  a Certificates: the listener speaks TLS
    server        a Pair in place of the certificates' own
    mutual        clients need a certificate
    named         mutual, with TLS 1.3: a client is called what its certificate is for, whatever it
                  says itself. Services of the broker's own board use the listener .inside, without TLS
    revocations   a file: a list of those that are revoked
    newest_tls    no version above it, such as TLSv1.2
    clock         a BoardClock: what it takes for the time
    users         {name: password}: nobody else may connect
    access        lines that say who may connect and where, in place of all above but the host and
                  the clock: the listener on the broker's port is one of them (harness/access.py)
    persistence   keep sessions, queues and retained messages over a restart
    settings      a file of compose/mosquitto: its settings but for the listener and folders
    more          further lines of its configuration
    """

    def __init__(
        self,
        directory,
        certificates=None,
        host=HOST,
        server=None,
        mutual=False,
        named=False,
        revocations=None,
        newest_tls=None,
        clock=None,
        users=None,
        access=None,
        persistence=False,
        port=None,
        settings=None,
        more=(),
    ):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.certificates, self.host = certificates, host
        # mosquitto's own switch to another user would close this directory.
        lines = ["user root", "log_dest stderr"]
        lines += access or [f"listener {self.port} {host}"]
        if settings:
            lines += _settings_of(settings)
        else:
            lines += ["max_inflight_messages 1000", "max_queued_messages 100000"]
        if users:
            lines += ["allow_anonymous false", f"password_file {self._password_file(users)}"]
        elif not access:
            lines += ["allow_anonymous true"]
        if certificates:
            cert, key = server or (certificates.cert, certificates.key)
            lines += [f"certfile {cert}", f"keyfile {key}"]
        if mutual or named:
            lines += [f"cafile {certificates.ca}", "require_certificate true"]
        if named:
            lines += ["use_identity_as_username true", "use_username_as_clientid true"]
            lines += ["tls_version tlsv1.3"]
        if revocations:
            lines += [f"crlfile {revocations}"]
        if persistence:
            lines += ["persistence true", "autosave_interval 1"]
        lines += [f"persistence_location {self.directory}/", *more]
        if named:
            self.inside = Door(host, free_port())
            lines += [f"listener {self.inside.port} {host}"]
        self.config = self.directory / "mosquitto.conf"
        self.config.write_text("\n".join(lines) + "\n")
        command = [find_mosquitto(), "-c", self.config]
        env = dict(os.environ)
        if newest_tls:
            env["OPENSSL_CONF"] = self._openssl_config(newest_tls)
        if clock:
            env.update(clock.preload())
        self.process = Process("mosquitto", command, self.directory, env)

    def _openssl_config(self, newest_tls):
        """mosquitto can only be told the oldest version."""
        path = self.directory / "openssl.cnf"
        path.write_text(
            "openssl_conf = all\n[all]\nssl_conf = ssl\n[ssl]\nsystem_default = limits\n"
            f"[limits]\nMaxProtocol = {newest_tls}\n"
        )
        return str(path)

    def _password_file(self, users):
        path = self.directory / "passwords"
        path.touch(mode=0o600)
        for user, password in users.items():
            command = ["mosquitto_passwd", "-b", str(path), user, password]
            subprocess.run(command, check=True, capture_output=True, timeout=10)
        return path

    def url(self, user=None, password=None):
        scheme = "mqtts" if self.certificates else "mqtt"
        credentials = f"{user}:{password}@" if user else ""
        return f"{scheme}://{credentials}{self.host}:{self.port}"

    def start(self):
        """Start it and wait until its port accepts connections."""
        self.process.spawn()
        eventually(self._accepts, f"mosquitto accepts connections on port {self.port}")

    def _accepts(self):
        assert self.process.running(), self.process.stderr()
        try:
            socket.create_connection((self.host, self.port), 1).close()
            return True
        except OSError:
            return False

    def kill(self):
        """SIGKILL: connections break, what was not persisted is gone."""
        self.process.kill()

    def close(self):
        self.process.kill()
