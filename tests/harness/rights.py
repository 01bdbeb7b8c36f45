"""A central broker where nobody may do anything but what its role says: mosquitto's dynamic security.

The rights themselves are the tables below. `{node}` is the node's name, `{old}` a former one,
`{asker}` who orders and reads answers, `{prefix}` TOPIC_PREFIX.
"""

import base64
import hashlib
import json
import secrets
from pathlib import Path

from harness.broker import free_port

PLUGIN = "mosquitto_dynamic_security.so"
SALT_BYTES = 12  # another length, and the plugin passes over the user
ITERATIONS = 101

STATE = ["state/{node}/+", "status/{node}", "status/{node}/+"]

NODE = {
    "send": ["{prefix}/{node}", "{prefix}/{node}/batch", *STATE, "stats/{node}/+/+", "answer/+/{node}"],
    # What it has said of itself is read back after a connect.
    "receive": ["ack/{node}/+", "cmd/{node}/+/set", *STATE],
    # Of any node: what is refused is to receive another's answers.
    "subscribe": ["ack/+/+", "cmd/{node}/+/set", *STATE],
}
# A node that was renamed sends what its outbox kept under the name that it had.
FORMER = {"send": ["{prefix}/{old}/batch"], "receive": ["ack/{old}/+"], "subscribe": []}
INGEST = {
    "send": ["ack/+/+", "stats/+/ingest/+", "ingest/store/#"],
    "receive": ["{prefix}/+", "{prefix}/+/batch", "ingest/store/#"],
    "subscribe": ["{prefix}/+", "$share/ingest/{prefix}/+/batch", "ingest/store/#"],
}
PRUNER = {
    "send": ["retention/answered", "retention/report", "answer/+/_pruner", "stats/+/retention-pruner/+"],
    "receive": ["retention/run", "retention/answered"],
    "subscribe": ["retention/run", "retention/answered"],
}
READS = ["state/#", "status/#", "retention/report"]
OPERATOR = {
    "send": ["cmd/+/+/set", "retention/run"],
    "receive": [*READS, "answer/{asker}/+"],
    "subscribe": [*READS, "answer/{asker}/+"],
}
DASHBOARD = {"send": [], "receive": [*READS, "stats/#"], "subscribe": [*READS, "stats/#"]}
ADMIN = {"send": ["$CONTROL/dynamic-security/#"], "receive": ["$CONTROL/#"], "subscribe": ["$CONTROL/#"]}

TYPES = {
    "send": ["publishClientSend"],
    "receive": ["publishClientReceive"],
    "subscribe": ["subscribePattern", "unsubscribePattern"],
}


def acl(acltype, topic):
    return {"acltype": acltype, "topic": topic, "priority": 0, "allow": True}


def role(name, rights, **names):
    """A role of these rights, with the names in them filled in."""
    names = {"prefix": "/data", **names}
    acls = [
        acl(acltype, topic.format(**names))
        for what, topics in rights.items()
        for topic in topics
        for acltype in TYPES[what]
    ]
    return {"rolename": name, "acls": acls}


def node_role(name, was=()):
    """A node's, with the names that it had before."""
    whole = role(f"node-{name}", NODE, node=name)
    for old in was:
        whole["acls"] += role("", FORMER, old=old)["acls"]
    return whole


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


def rights_of(nodes, operators=("_operator",)):
    """The centre's services, these nodes ({name: former names}) and these operators."""
    rights = Rights()
    rights.add("_ingest", role("ingest", INGEST), password=True)
    rights.add("_pruner", role("pruner", PRUNER), password=True)
    rights.add("_dashboard", role("dashboard", DASHBOARD), password=True)
    rights.add("_admin", role("admin", ADMIN), password=True)
    for name, was in nodes.items():
        rights.add(name, node_role(name, was))
    for name in operators:
        rights.add(name, role(name, OPERATOR, asker=name))
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
