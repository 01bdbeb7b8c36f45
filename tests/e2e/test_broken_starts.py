"""A broker whose files are damaged or missing lets nobody in: it does not start and says why, or
it refuses everybody."""

import socket

import pytest
from stack import REPO, docker, image
from town import DEVICES, SERVICES, TLS, Town
from wire import Ended, Wire, tls

from harness.wait import eventually

ADDRESS = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
LISTS = "certificate revocation file"
RIGHTS = "Error loading Dynamic security plugin config"
# How the folder is damaged, and what the broker says when it does not start.
NO_START = {
    "a list that only root can read": ("chown 0:0 crl.pem", LISTS),
    "a list that nobody can read": ("chmod 0 crl.pem", LISTS),
    "half a list": ("head -c 200 crl.pem >half && cat half >crl.pem", LISTS),
    "a list of something else": ("echo list >crl.pem", LISTS),
    "an empty list": (": >crl.pem", LISTS),
    "no list": ("rm crl.pem", LISTS),
    "no key": ("rm server.key", "server key file"),
    "a key of another": ("openssl ecparam -name prime256v1 -genkey -noout >server.key", "key"),
    "no certificate": ("rm server.crt", "server certificate"),
    "no authority": ("rm ca.crt", "CA certificates"),
}
# And when it does, with nobody's rights; nothing is said of an empty file.
NO_RIGHTS = {
    "no rights": ("rm dynamic-security.json", RIGHTS),
    "half of the rights": ("head -c 500 dynamic-security.json >half && cat half >dynamic-security.json", RIGHTS),
    "rights that nobody can read": ("chmod 0 dynamic-security.json", RIGHTS),
    "an empty file of rights": (": >dynamic-security.json", ""),
    "rights that name nobody": ("echo '{}' >dynamic-security.json", ""),
}


class Broken:
    """Brokers of their own on copies of a folder of identities."""

    def __init__(self, identities, folder):
        self.identities, self._started = identities, []
        self.town = Town.__new__(Town)
        self.town.identities, self.town.folder = identities, folder
        self.town.copy()

    def start(self, damage, access="provisioned-broker"):
        """The container of a broker whose folder was damaged by a command."""
        copy = f"broker-{len(self._started)}"
        self.identities.sh(f"cp -a broker/mosquitto {copy} && cd {copy} && {damage}")
        mounts = {
            self.identities.path / copy: "/mosquitto/identity",
            REPO / "compose/mosquitto/broker.conf": "/mosquitto/config/mosquitto.conf:ro",
        }
        if access:
            mounts[REPO / "compose/mosquitto" / access] = "/mosquitto/access:ro"
        options = [word for source, target in mounts.items() for word in ("-v", f"{source}:{target}")]
        options += ["--read-only", "--cap-drop", "ALL", "--tmpfs", "/mosquitto/data:uid=1883"]
        if not access:
            options += ["--tmpfs", "/mosquitto/access:uid=1883"]
        self._started.append(docker("run", "-d", *options, image("broker")).stdout.strip())
        return self._started[-1]

    def remove(self):
        docker("rm", "-f", *self._started, check=False)


@pytest.fixture(scope="module")
def broken(new_identities, tmp_path_factory):
    identities = new_identities("broken", nodes=["bob", "revoked"])
    identities.run("revoke", "revoked", BROKER="down")
    broken = Broken(identities, tmp_path_factory.mktemp("broken"))
    try:
        yield broken
    finally:
        broken.remove()


def log(container):
    return docker("logs", container).stderr


def runs(container):
    """Its address, once it listens."""
    host = docker("inspect", "-f", ADDRESS, container).stdout.strip()
    eventually(lambda: listens(host), "it listens")
    return host


def listens(host):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, TLS)) == 0


def seen(host, port, context=None, topic="status/bob", **login):
    """What comes of a connection that sends to a topic."""
    try:
        with Wire(host, port, context) as wire:
            said = wire.connect("bob", **login)
            return said if said != "granted" else wire.publish(topic, b"{}")
    except Ended as end:
        return str(end)


def test_a_right_one_lets_in(broken):
    """The positive control."""
    host = runs(broken.start("true"))
    town = broken.town
    assert seen(host, TLS, tls(town.ca, town.pair("bob"))) == "granted"
    login = {"user": "_ingest", "password": town.password("_ingest")}
    assert seen(host, SERVICES, topic="ack/bob/x", **login) == "granted"


@pytest.mark.parametrize("what", NO_START)
def test_does_not_start(broken, what):
    damage, words = NO_START[what]
    container = broken.start(damage)
    assert docker("wait", container).stdout.strip() != "0"
    assert words in log(container)


@pytest.mark.parametrize("what", NO_RIGHTS)
def test_lets_nobody_in(broken, what):
    """Nor is there an administrator that nobody has made."""
    damage, words = NO_RIGHTS[what]
    container = broken.start(damage)
    host, town = runs(container), broken.town
    assert words in log(container)
    for port in (SERVICES, DEVICES):
        for login in ({}, {"user": "admin", "password": "admin"}, {"user": "_admin"}):
            assert seen(host, port, **login) == "not authorized", (port, login)
    login = {"user": "_ingest", "password": town.password("_ingest")}
    assert seen(host, SERVICES, topic="ack/bob/x", **login) == "not authorized"
    assert seen(host, TLS, tls(town.ca)) == "TLS: alert certificate required"
    assert seen(host, TLS, tls(town.ca, town.pair("revoked"))) == "TLS: alert certificate revoked"
    for topic in ("status/bob", "$CONTROL/dynamic-security/v1"):
        assert seen(host, TLS, tls(town.ca, town.pair("bob")), topic) == "not authorized"


def test_without_its_access_file(broken):
    """mosquitto then listens to its own container alone."""
    container = broken.start("true", access=None)
    eventually(lambda: "local only mode" in log(container), "it says so")
    host = docker("inspect", "-f", ADDRESS, container).stdout.strip()
    for port in (SERVICES, TLS, DEVICES):
        assert seen(host, port) == "connection refused"
