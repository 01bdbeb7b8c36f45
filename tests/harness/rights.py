"""Brokers where nobody may do anything but what its role says: mosquitto's dynamic security.

The roles are those that `make provision` makes (compose/provision/rights.sh), and who comes in is
said by the access.conf of compose/mosquitto.
"""

import base64
import hashlib
import json
import secrets
import shutil
import subprocess

from harness.access import DEVICES, DEVICES_TLS, SERVICES, TLS, access_lines
from harness.broker import HOST, Door, free_port
from harness.service import ROOT

SCRIPTS = ROOT / "compose/provision"

SALT_BYTES = 12  # another length, and the plugin passes over the user
ITERATIONS = 101


def acl(acltype, topic):
    return {"acltype": acltype, "topic": topic, "priority": 0, "allow": True}


SOURCES = '. "$here/names.sh"; . "$here/rights.sh"; '
ROLES = SOURCES + 'for name; do role_json "$name"; done'
OWN = SOURCES + 'own_rights_json "$1"'


def _run(script, directory, *arguments):
    """What the scripts of compose/provision print."""
    env = {"here": SCRIPTS, "dir": directory, "prefix": "/data", "PATH": "/usr/bin:/bin"}
    command = ["sh", "-euc", script, "sh", *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=True).stdout


def roles(directory, kinds):
    """The roles that compose/provision gives these identities: {name: its kind and former names}."""
    identities = directory / "identities"
    identities.mkdir(parents=True)
    for name, (kind, was) in kinds.items():
        (identities / name).write_text(f"kind={kind}\nstate=active\nwas={' '.join(was)}\n", encoding="utf-8")
    return [json.loads(line) for line in _run(ROLES, directory, *kinds).splitlines()]


def hashed(password):
    salt = secrets.token_bytes(SALT_BYTES)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, 64)
    return {
        "password": base64.b64encode(key).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": ITERATIONS,
    }


def write_rights(path, text):
    """Readable for its owner alone, or mosquitto complains."""
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


class Rights:
    """Who there is; what the plugin reads."""

    def __init__(self):
        self.clients, self.roles, self.passwords = [], [], {}

    def add(self, user, rights_role, password=False):
        """A user with that role; without a password a certificate says who it is."""
        client = {"username": user, "roles": [{"rolename": rights_role["rolename"], "priority": 0}]}
        if password:
            self.passwords[user] = secrets.token_hex(16)
            client.update(hashed(self.passwords[user]))
        self.clients.append(client)
        self.roles.append(rights_role)

    def write(self, path):
        access = ["publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"]
        config = {
            "defaultACLAccess": dict.fromkeys(access, False),
            "clients": self.clients,
            "roles": self.roles,
        }
        write_rights(path, json.dumps(config))


def rights_of(directory, nodes, operators=("_operator",), devices=()):
    """The centre's services, these nodes ({name: former names}), operators and devices."""
    services = ["_ingest", "_pruner", "_dashboard", "_admin"]
    kinds = {name: ("service", ()) for name in services}
    kinds |= {name: ("node", was) for name, was in nodes.items()}
    kinds |= {name: ("client", ()) for name in operators}
    kinds |= {name: ("device", ()) for name in devices}
    rights = Rights()
    for role in roles(directory, kinds):
        name = role["rolename"]
        rights.add(name, role, password=name in services or name in devices)
    return rights


def _refused(broker):
    """Lines of refusals.so."""
    return [line for line in broker.process.stderr().splitlines() if 'msg="refused' in line]


class ProvisionedNode:
    """A node's own broker, where its services come in by password. Further options are the broker's."""

    def __init__(self, lab, **broker):
        identity = lab.directory / f"own-{len(lab.brokers)}"
        identity.mkdir()
        self.passwords = {user: secrets.token_hex(16) for user in ("_sampler", "_publisher")}
        users = identity / "users"
        users.write_text("".join(f"{user}:{_line(hashed(word))}\n" for user, word in self.passwords.items()))
        write_rights(identity / "dynamic-security.json", _run(OWN, identity, users))
        port = free_port()
        lines = access_lines("provisioned-node", identity, HOST, {SERVICES: port})
        self.broker = lab.broker(port=port, access=lines, **broker)

    def url(self, user):
        return self.broker.url(user, self.passwords[user])

    def refused(self):
        return _refused(self.broker)


def _line(key):
    """A hashed password as compose/provision keeps it."""
    return f"$7${key['iterations']}${key['salt']}${key['password']}"


class ProvisionedCentre:
    """The central broker: an inner listener for services, an outer one for nodes, one for devices.

    Further options are the broker's.
    """

    def __init__(self, lab, certificates, rights, **broker):
        self.lab, self.certificates, self.rights = lab, certificates, rights
        identity = self._identity(lab.directory / f"identity-{len(lab.brokers)}")
        ports = {port: free_port() for port in (SERVICES, TLS, DEVICES_TLS, DEVICES)}
        lines = access_lines("provisioned-broker", identity, HOST, ports)
        self.inside = lab.broker(port=ports[SERVICES], access=lines, **broker)
        self.outside = Door(HOST, ports[TLS], certificates)
        self._devices = Door(HOST, ports[DEVICES])
        self._pairs = {}

    def _identity(self, folder):
        folder.mkdir()
        c = self.certificates
        files = {"ca.crt": c.ca, "server.crt": c.cert, "server.key": c.key, "crl.pem": c.revocations()}
        for name, file in files.items():
            shutil.copy(file, folder / name)
        self.rights.write(folder / "dynamic-security.json")
        return folder

    def pair(self, name):
        """The certificate and key of a node or a person."""
        if name not in self._pairs:
            self._pairs[name] = self.certificates.client(name)
        return self._pairs[name]

    def _inner_url(self, user):
        return self.inside.url(user, self.rights.passwords[user])

    def ingest(self, **settings):
        return self.lab.ingest(self.inside, MQTT_URL=self._inner_url("_ingest"), **settings)

    def pruner(self, **settings):
        return self.lab.pruner(self.inside, MQTT_URL=self._inner_url("_pruner"), **settings)

    def publisher(self, local, node, door=None, **settings):
        """door: another way in than the listener itself, such as a proxy."""
        pair = self.pair(node)
        files = {"TLS_CA_FILE": self.certificates.ca, "TLS_CERT_FILE": pair.cert, "TLS_KEY_FILE": pair.key}
        return self.lab.publisher(local, door or self.outside, node=node, **{**files, **settings})

    def person(self, name):
        """A client with that certificate."""
        return self.lab.client(self.outside, pair=self.pair(name))

    def device(self, name):
        """A plain client with that password."""
        login = {"user": name, "password": self.rights.passwords[name], "client_id": name}
        return self.lab.client(self._devices, **login)

    def service(self, name):
        """A client inside, with that password."""
        return self.lab.client(self.inside, user=name, password=self.rights.passwords[name])

    def grant(self, rolename, acltype, topic):
        """One more right, while the broker runs."""
        admin = self.service("_admin")
        admin.subscribe("$CONTROL/dynamic-security/v1/response")
        command = {"command": "addRoleACL", "rolename": rolename, **acl(acltype, topic)}
        admin.publish("$CONTROL/dynamic-security/v1", json.dumps({"commands": [command]}))
        done = admin.wait_message("$CONTROL/dynamic-security/v1/response")
        assert b"error" not in done.payload, done.payload

    def refused(self):
        """What the broker has refused for want of a right, or at a login: its plugin's lines."""
        return _refused(self.inside)

    def denied(self):
        """The same in mosquitto's own words, line by line; with `log_type all` only."""
        return [line for line in self.inside.process.stderr().splitlines() if "Denied" in line]
