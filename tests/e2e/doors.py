"""The table of attempts: who tries what, what he sees, where we see it, and where it works."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import attempts as by
from town import DEVICES, DEVICES_TLS, OPEN, SERVICES, TLS
from wire import PUBLISH, packet, text

from harness.certs import ENDED, NOT_YET

NODE, DEVICE = "mallory", "gadget"  # one of his own for each attempt
VICTIM = by.VICTIM
REFUSED = "not authorized"
GRANTED = "granted"
CONTROL = "$CONTROL/dynamic-security/v1"
MIB = 1 << 20
LIST = '{"commands":[{"command":"listClients"}]}'.encode()


@dataclass(frozen=True)
class Rights:
    """A line of refusals.so about who tried."""

    action: str
    topic: str
    user: str | None = None

    def __str__(self):
        return f"log, counter: action={self.action} topic={self.topic}"

    def pattern(self, who):
        topic = re.escape(self.topic.format(who=who))
        return rf'msg="refused.* user={self.user or who} .*action={self.action} topic="?{topic}'


@dataclass(frozen=True)
class Line:
    """A line of mosquitto's own."""

    words: str

    def __str__(self):
        return f"log: {self.words}"

    def pattern(self, _who):
        return re.escape(self.words)


LOGIN = "log, counter: action=login"  # lines of one address are gathered: counted at the end
NOWHERE = "nowhere: mosquitto 2.0 is silent"
NO_LINE = (LOGIN, NOWHERE)


@dataclass(frozen=True)
class Attempt:
    name: str
    who: str
    how: Callable
    sees: str
    shows: object
    control: str  # who may, by the same steps
    works: str = GRANTED
    allowed: Callable | None = None  # other steps than `how`

    def __str__(self):
        return self.name


def certificate(name, pair, sees, line):
    return Attempt(name, NODE, by.with_pair(pair), f"TLS: alert {sees}", Line(line), VICTIM, GRANTED, by.own)


VERIFY = "certificate verify failed"
CERTIFICATES = [
    Attempt("no certificate", NODE, by.no_certificate, "TLS: alert certificate required",
        Line("peer did not return a certificate"), VICTIM, GRANTED, by.own),
    certificate("a certificate of another authority", lambda town, who: town.forged(who), "unknown ca", VERIFY),
    certificate("of an authority that calls itself as ours", lambda town, who: town.forged(who, town.authority()),
        "unknown ca", VERIFY),
    certificate("of ours, but ended", lambda town, who: town.forged(who, "ours", ENDED), "certificate expired", VERIFY),
    certificate("of ours, but not yet valid", lambda town, who: town.forged(who, "ours", NOT_YET),
        "bad certificate", VERIFY),
    certificate("of ours, but revoked", lambda town, who: town.pair("revoked"), "certificate revoked", VERIFY),
    certificate("the broker's own certificate, as a client", lambda town, who: town.pair("broker"),
        "unsupported certificate", VERIFY),
    Attempt("TLS 1.2", NODE, by.old_tls, "TLS: alert protocol version", NOWHERE,
        VICTIM, GRANTED, by.own),
    Attempt("plain text on the port for TLS", NODE, by.no_tls(TLS), "closed", NOWHERE, VICTIM, GRANTED, by.own),
    Attempt("plain text on the devices' port for TLS", DEVICE, by.no_tls(DEVICES_TLS), "closed", NOWHERE,
        DEVICE, GRANTED, by.no_tls(DEVICES)),
    Attempt("TLS on a port for plain text", NODE, by.tls_where_none_is, "closed", NOWHERE, VICTIM, GRANTED, by.own),
]

LOGINS = [
    Attempt("nobody, at the services' port", NODE, by.login(SERVICES), REFUSED, LOGIN,
        "_ingest", GRANTED, by.login(SERVICES, "_ingest", "<_ingest>")),
    Attempt("nobody, at the devices' port", NODE, by.login(DEVICES_TLS), REFUSED, NOWHERE,
        "gadget", GRANTED, by.login(DEVICES_TLS, "gadget", "<gadget>")),
    Attempt("a wrong password", NODE, by.login(DEVICES_TLS, "gadget", "guessed"), REFUSED, LOGIN,
        "gadget", GRANTED, by.login(DEVICES_TLS, "gadget", "<gadget>")),
    Attempt("ingest's name with a device's password", NODE, by.login(SERVICES, "_ingest", "<gadget>"), REFUSED, LOGIN,
        "_ingest", GRANTED, by.login(SERVICES, "_ingest", "<_ingest>")),
    Attempt("a node's name without its certificate", NODE, by.login(DEVICES_TLS, VICTIM, "guessed"), REFUSED, LOGIN,
        VICTIM, GRANTED, by.own),
    Attempt("a node's name, no password", NODE, by.login(DEVICES, VICTIM), REFUSED, LOGIN, VICTIM, GRANTED, by.own),
    Attempt("the administrator's name, an empty password", NODE, by.login(SERVICES, "_admin", ""), REFUSED, LOGIN,
        "_admin", GRANTED, by.own),
    Attempt("a revoked device's password", NODE, by.login(DEVICES_TLS, "revoked-gadget", "<revoked-gadget>"),
        REFUSED, LOGIN, "gadget", GRANTED, by.login(DEVICES_TLS, "gadget", "<gadget>")),
    Attempt("a certificate of ours for a name that nobody has", NODE,
        by.as_nobody("/data/nobody"), REFUSED, Rights("publish", "/data/nobody", "nobody"), VICTIM, GRANTED,
        by.publish("/data/bob")),
    Attempt("another's user beside the own certificate", NODE, by.in_the_name_of("_operator", "cmd/bob/relay/set"),
        REFUSED, Rights("publish", "cmd/bob/relay/set"), "_operator", GRANTED,
        by.publish("cmd/bob/relay/set", b"{}")),
]


def send(name, topic, control=VICTIM, who=NODE, sees=REFUSED, allowed=None, **options):
    return Attempt(name, who, by.publish(topic, **options), sees, Rights("publish", topic), control, GRANTED, allowed)


SENDING = [
    send("another's readings", "/data/bob"),
    send("another's readings, retained", "/data/bob", retain=True),
    send("another's readings, QoS 2", "/data/bob", qos=2),
    Attempt("another's readings, QoS 0", NODE, by.publish("/data/bob", qos=0), "nothing",
        Rights("publish", "/data/bob"), VICTIM, GRANTED, by.publish("/data/bob")),
    Attempt("another's batches", NODE, by.publish_batch("/data/bob/batch"), REFUSED,
        Rights("publish", "/data/bob/batch"), VICTIM),
    Attempt("another's topic behind an alias", NODE, by.alias("/data/bob"), REFUSED,
        Rights("publish", "/data/bob"), VICTIM),
    send("another's state", "state/bob/relay", payload=b"{}"),
    send("another's status cleared, retained", "status/bob", payload=b"", retain=True),
    send("another's statistics", "stats/bob/publisher/publisher", payload=b"{}"),
    send("an answer in another's name", "answer/_operator/bob", payload=b"{}"),
    send("'stored' said to another's outbox", "ack/bob/publisher", "_ingest", payload=b"{}"),
    send("'stored' said to the own outbox", "ack/{who}/publisher", "_ingest", payload=b"{}"),
    send("a command by a node", "cmd/bob/relay/set", "_operator", payload=b"{}"),
    send("a command by a node, retained", "cmd/bob/relay/set", "_operator", payload=b"", retain=True),
    send("a command by a device", "cmd/bob/relay/set", "_operator", DEVICE, payload=b"{}"),
    send("another's readings by a device", "/data/bob", who=DEVICE),
    send("another's readings by an operator", "/data/bob", who="_operator-eve"),
    send("a command by a dashboard", "cmd/bob/relay/set", "_operator", "_dashboard", payload=b"{}"),
    send("a command by ingest", "cmd/bob/relay/set", "_operator", "_ingest", payload=b"{}"),
    send("an order to delete by a node", "retention/run", "_operator", payload=b'{"dry_run":true}'),
    send("an order to delete by Home Assistant", "retention/run", "_operator", "_homeassistant",
        payload=b'{"dry_run":true}'),
    send("a report in the pruner's name", "retention/report", "_pruner", payload=b"{}"),
    send("$CONTROL by a node", CONTROL, "_admin", payload=LIST),
    send("$CONTROL by a device", CONTROL, "_admin", DEVICE, payload=LIST),
    send("$CONTROL by an operator", CONTROL, "_admin", "_operator-mia", payload=LIST),
    send("$CONTROL of the broker itself", "$CONTROL/broker/v1", "_admin", payload=LIST,
        allowed=by.publish(CONTROL, LIST)),
    Attempt("what the broker says of itself", NODE, by.publish("$SYS/broker/version"), REFUSED, NOWHERE, VICTIM,
        GRANTED, by.publish("/data/bob")),
    Attempt("a last will on another's readings", NODE, by.will("/data/bob", "_ingest", "/data/{who}"),
        "nothing is delivered", Rights("publish", "/data/bob"), VICTIM, "it is delivered"),
    Attempt("a last will on another's status", NODE, by.will("status/bob", "_dashboard", "status/{who}"),
        "nothing is delivered", Rights("publish", "status/bob"), VICTIM, "it is delivered",
        by.will("status/bob", "_dashboard", "status/bob/publisher")),
]


def ask(name, topic_filter, control, allowed, who=NODE):
    """`allowed`: what `control` may ask for in place of that; None: the same."""
    return Attempt(name, who, by.subscribe(topic_filter), REFUSED, Rights("subscribe", topic_filter), control,
        GRANTED, allowed and by.subscribe(allowed))


READING = [
    ask("everything", "#", OPEN, None),
    ask("everything, written otherwise", "+/#", OPEN, None),
    ask("everything by a device", "#", OPEN, None, DEVICE),
    ask("everything by an operator", "#", OPEN, None, "_operator-eve"),
    ask("everything by a dashboard", "#", OPEN, None, "_dashboard"),
    ask("all readings", "/data/+", OPEN, None),
    ask("all batches", "/data/+/batch", OPEN, None),
    ask("another's readings, heard", "/data/bob", OPEN, None),
    ask("another's commands, heard", "cmd/bob/+/set", VICTIM, None),
    ask("everybody's commands", "cmd/+/+/set", OPEN, None),
    ask("ingest's batches stolen", "$share/ingest//data/+/batch", OPEN, None),
    ask("all state by a share", "$share/x/state/#", OPEN, None),
    ask("everything by a share", "$share/x/#", OPEN, None),
    ask("own commands by a share", "$share/x/cmd/{who}/+/set", OPEN, None),
    ask("all answers", "ack/#", OPEN, None),
    ask("all that the broker says of itself", "$SYS/#", OPEN, None),
    ask("what the health check may read", "$SYS/broker/version", "_health", None),
    ask("$CONTROL", "$CONTROL/#", OPEN, None),
    ask("what the administrator is answered", f"{CONTROL}/response", "_admin", None),
    ask("an operator's answers", "answer/_operator/+", "_operator", None),
    ask("another operator's answers", "answer/_operator/+", "_operator", None, "_operator-mia"),
    ask("its own readings", "/data/{who}", OPEN, None, DEVICE),
    Attempt("another's answers, by a filter that may be asked for", NODE,
        by.overhear("ack/bob/publisher", "_ingest", "ack/+/+"), "granted; nothing comes",
        Rights("receive", "ack/bob/publisher"), VICTIM, "granted; it comes"),
    Attempt("ingest answers to another", NODE, by.answer_to_another, "the victim sees nothing", NOWHERE,
        VICTIM, "the victim is answered"),
]

SESSIONS = [
    Attempt("another node's client id", NODE, by.take_session(VICTIM, VICTIM), "the owner goes on", NOWHERE,
        VICTIM, "the owner is disconnected: session taken over"),
    Attempt("ingest's client id, by a node", NODE, by.take_session("_ingest", "dewpoint-ingest-one"),
        "the owner goes on", NOWHERE, "_ingest", "the owner is disconnected: session taken over"),
    Attempt("ingest's client id, by a device", DEVICE, by.take_session("_ingest", "dewpoint-ingest-one"),
        "the owner goes on", NOWHERE, "_ingest", "the owner is disconnected: session taken over"),
    Attempt("what waits in another's session", NODE, by.inherit_session(VICTIM, "cmd/bob/relay/set", "_operator"),
        "nothing comes", NOWHERE, VICTIM, "it gets them"),
]

DEEP = "/".join("x" * 300)
BROKEN = [
    Attempt("an oversized packet before CONNECT", NODE, by.bytes_at(TLS, by.claimed(1, 2 * MIB)), "closed",
        NOWHERE, VICTIM, GRANTED, by.own),
    Attempt("the same without TLS", NODE, by.bytes_at(SERVICES, by.claimed(1, 200 * MIB)), "closed",
        NOWHERE, VICTIM, GRANTED, by.own),
    Attempt("an oversized packet after CONNECT", NODE, by.publish("/data/{who}", b"x" * 2 * MIB),
        "disconnected: packet too large", NOWHERE, VICTIM, GRANTED, by.publish("status/bob", b"x" * (MIB - 1000))),
    Attempt("PUBLISH before CONNECT", NODE,
        by.bytes_at(TLS, packet(PUBLISH, text("/data/bob") + b"\0" + by.plain("mallory"))), "closed", NOWHERE,
        VICTIM, GRANTED, by.publish("/data/bob")),
    Attempt("CONNECT twice", NODE, by.connect_twice, "closed", Line("sending multiple CONNECT messages"),
        VICTIM, GRANTED, by.own),
    Attempt("a topic of 600 levels", NODE, by.publish(DEEP), "disconnected: malformed packet", NOWHERE,
        VICTIM, GRANTED, by.publish("/data/bob")),
    Attempt("a topic of 60,000 bytes", NODE, by.publish("/data/bob/" + "x" * 60000), REFUSED,
        Rights("publish", "/data/bob/xxxxx"), VICTIM, GRANTED, by.publish("/data/bob")),
    Attempt("a topic with a wildcard", NODE, by.publish("/data/+"), "disconnected: malformed packet", NOWHERE,
        VICTIM, GRANTED, by.publish("/data/bob")),
    Attempt("an alias beyond what is granted", NODE,
        by.publish("/data/{who}", properties=b"\x23\xff\xff"), "disconnected: topic alias invalid", NOWHERE,
        VICTIM, GRANTED, by.publish("/data/bob", properties=b"\x23\0\1")),
]

ATTEMPTS = [*CERTIFICATES, *LOGINS, *SENDING, *READING, *SESSIONS, *BROKEN]
