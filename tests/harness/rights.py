"""A central broker where nobody may do anything but what its role says: mosquitto's dynamic security.

The roles are those that `make provision` makes (compose/provision/rights.sh).
"""

import base64
import hashlib
import json
import secrets
import subprocess
from pathlib import Path

from harness.broker import free_port
from harness.service import ROOT

SCRIPTS = ROOT / "compose/provision"

PLUGIN = "mosquitto_dynamic_security.so"
SALT_BYTES = 12  # another length, and the plugin passes over the user
ITERATIONS = 101

def acl(acltype, topic):
    return {"acltype": acltype, "topic": topic, "priority": 0, "allow": True}


ROLES = '. "$here/names.sh"; . "$here/rights.sh"; for name; do role_json "$name"; done'


def roles(directory, kinds):
    """The roles that compose/provision gives these identities: {name: its kind and former names}."""
    identities = directory / "identities"
    identities.mkdir(parents=True)
    for name, (kind, was) in kinds.items():
        (identities / name).write_text(f"kind={kind}\nstate=active\nwas={' '.join(was)}\n", encoding="utf-8")
    env = {"here": SCRIPTS, "dir": directory, "prefix": "/data", "PATH": "/usr/bin:/bin"}
    command = ["sh", "-euc", ROLES, "sh", *kinds]
    made = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30, check=True)
    return [json.loads(line) for line in made.stdout.splitlines()]


def hashed(password):
    salt = secrets.token_bytes(SALT_BYTES)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS, 64)
    return {
        "password": base64.b64encode(key).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": ITERATIONS,
    }


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

    @staticmethod
    def plugin():
        """Where Debian has it: a folder for each architecture."""
        found = sorted(Path("/usr/lib").glob(f"*/{PLUGIN}"))
        assert found, f"no {PLUGIN}: it comes with Debian's mosquitto"
        return found[0]

    def write(self, path):
        access = ["publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"]
        config = {
            "defaultACLAccess": dict.fromkeys(access, False),
            "clients": self.clients,
            "roles": self.roles,
        }
        path.write_text(json.dumps(config), encoding="utf-8")


def rights_of(directory, nodes, operators=("_operator",)):
    """The centre's services, these nodes ({name: former names}) and these operators."""
    services = ["_ingest", "_pruner", "_dashboard", "_admin"]
    kinds = {name: ("service", ()) for name in services}
    kinds |= {name: ("node", was) for name, was in nodes.items()}
    kinds |= {name: ("client", ()) for name in operators}
    rights = Rights()
    for role in roles(directory, kinds):
        rights.add(role["rolename"], role, password=role["rolename"] in services)
    return rights


class Outside:
    """The listener that nodes and people see: TLS, a certificate is who somebody is."""

    def __init__(self, certificates, host):
        self.certificates, self.host, self.port = certificates, host, free_port()

    def lines(self):
        c = self.certificates
        return [
            f"listener {self.port} {self.host}",
            f"cafile {c.ca}",
            f"certfile {c.cert}",
            f"keyfile {c.key}",
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",
        ]

    def url(self):
        return f"mqtts://{self.host}:{self.port}"


class ProvisionedCentre:
    """The central broker with rights: an inner listener for services, an outer one for nodes."""

    def __init__(self, lab, certificates, rights):
        self.lab, self.certificates, self.rights = lab, certificates, rights
        self.inside = lab.broker(start=False, rights=rights)
        self.outside = Outside(certificates, self.inside.host)
        self.inside.configure(["log_type all", *self.outside.lines()])
        self.inside.start()
        self._pairs = {}

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

    def publisher(self, local, node, **settings):
        pair = self.pair(node)
        files = {"TLS_CA_FILE": self.certificates.ca, "TLS_CERT_FILE": pair.cert, "TLS_KEY_FILE": pair.key}
        return self.lab.publisher(local, self.outside, node=node, **{**files, **settings})

    def person(self, name):
        """A client with that certificate."""
        return self.lab.client(self.outside, pair=self.pair(name))

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

    def denied(self):
        """What the broker has refused, in its own words."""
        return [line for line in self.inside.process.stderr().splitlines() if "Denied" in line]
