"""Ways of trying: each takes (town, who) and returns what who saw."""

import contextlib
import json
import ssl

from town import DEVICES, DEVICES_TLS, OPEN, SERVICES, TLS
from wire import CONNECT, Ended, connect, number, packet, text, tls, user_property

from harness.peer import new_stream, reading, senml

VICTIM = "bob"
TRUE, FALSE = 21.5, 66.6
LAST = b'{"temperature":21.5,"humidity":40}'


def measured(who):
    """What an attacker says differs from what those say who may."""
    return TRUE if who in (VICTIM, OPEN) or not who.startswith(("mallory", "gadget")) else FALSE


def plain(who):
    return json.dumps({"temperature": measured(who)}).encode()


def batch(who, answer_to=None, value=None):
    """(payload, properties) of a native batch of one reading."""
    value = measured(who) if value is None else value
    payload = senml([reading(1, temperature=value)])
    wanted = {"v": "1", "stream": new_stream(), "first": "1", "count": "1"}
    properties = b"\x03" + text("application/senml+json")
    if answer_to:
        properties += b"\x08" + text(answer_to) + b"\x09" + text("hand")
    return payload, properties + b"".join(user_property(*one) for one in wanted.items())


# ---- at the door ----


def with_pair(pair):
    """pair(town, who): the certificate that is shown."""

    def how(town, who):
        with town.wire(TLS, tls(town.ca, pair(town, who))) as wire:
            return wire.connect()

    return how


def own(town, who):
    return with_pair(lambda town, who: town.pair(who))(town, who)


def no_certificate(town, _who):
    with town.wire(TLS, tls(town.ca)) as wire:
        return wire.connect()


def old_tls(town, who):
    with town.wire(TLS, tls(town.ca, town.pair(who), ssl.TLSVersion.TLSv1_2)) as wire:
        return wire.connect()


def no_tls(port):
    def how(town, who):
        with town.wire(port) as wire:
            login = {} if port == TLS else town.door(who)[2]
            return wire.connect(**login)

    return how


def tls_where_none_is(town, who):
    with town.wire(SERVICES, tls(town.ca, town.pair(who))) as wire:
        return wire.connect()


def bytes_at(port, data):
    """What is no MQTT, or not yet: sent before a CONNECT."""

    def how(town, who):
        context = tls(town.ca, town.pair(who)) if port == TLS else None
        with town.wire(port, context) as wire:
            wire.send(data)
            kind, _, body = wire.next()
            return f"packet {kind}: {body.hex()}"

    return how


def login(port, user=None, password=None):
    """password: of that identity, if it is one's name in brackets."""

    def how(town, _who):
        said = town.password(password.strip("<>")) if password and password[0] == "<" else password
        context = tls(town.ca) if port == DEVICES_TLS else None
        with town.wire(port, context) as wire:
            return wire.connect("somebody", user=user, password=said)

    return how


def too_large_connect(size):
    return packet(CONNECT, b"\0\4MQTT\5\2\0\x3c\0" + b"x" * size)


def claimed(kind, size):
    """The beginning of a packet that says it is that large."""
    return bytes([kind << 4]) + number(size) + b"x" * 1000


def connect_twice(town, who):
    with town.enter(who) as wire:
        wire.send(connect("again"))
        wire.next()
        return "granted"


def as_nobody(topic):
    """With a certificate that the authority has made for no identity: the broker lets it in."""

    def how(town, who):
        with town.wire(TLS, tls(town.ca, town.forged("nobody", "ours"))) as wire:
            wire.connect()
            return wire.publish(topic, plain(who))

    return how


# ---- sending and asking ----


def publish(topic, payload=None, **options):
    """`payload` None: a reading as plain devices send it. {who} in the topic is who tries."""

    def how(town, who):
        body = plain(who) if payload is None else payload
        with town.enter(who, who) as wire:
            return wire.publish(topic.format(who=who), body, **options)

    return how


def publish_batch(topic):
    def how(town, who):
        payload, properties = batch(who)
        with town.enter(who, who) as wire:
            return wire.publish(topic.format(who=who), payload, properties=properties)

    return how


def alias(topic):
    """By the number that it gave the topic; what is said of the second message."""

    def how(town, who):
        with town.enter(who, who) as wire:
            wire.publish(topic, plain(who), properties=b"\x23\0\1")
            return wire.publish("", plain(who), properties=b"\x23\0\1")

    return how


def subscribe(topic_filter):
    def how(town, who):
        with town.enter(who, who) as wire:
            return wire.subscribe(topic_filter.format(who=who))

    return how


def in_the_name_of(user, topic):
    """With the name of another in CONNECT, beside one's own certificate."""

    def how(town, who):
        with town.enter(who, who, user=user, password="guessed") as wire:
            return wire.publish(topic, b"{}")

    return how


# ---- what is delivered ----


def will(topic, watcher, marker):
    """Whether one's last will reaches a watcher who may read it.

    Who comes back ends the session before it: by then the will is sent, or never.
    """

    def how(town, who):
        aim, end = topic.format(who=who), marker.format(who=who)
        with town.enter(watcher, "seer") as seen:
            seen.subscribe(aim)
            seen.subscribe(end)
            town.enter(who, who, will=(aim, plain(who), False)).drop()
            with town.enter(who, who) as back:
                back.publish(end, LAST)
            seen.until(end, LAST)
        return "it is delivered" if (aim, plain(who), False) in seen.received else "nothing is delivered"

    return how


def overhear(topic, sender, reader_filter=None):
    """Whether what `sender` sends to the topic comes to who has subscribed to it."""

    def how(town, who):
        with town.enter(who, who) as wire:
            granted = wire.subscribe(reader_filter or topic)
            with town.enter(OPEN if who == OPEN else sender, "sender") as other:
                other.publish(topic, b"{}")
            # What was on its way comes before the answer to this.
            wire.ping()
            came = [m for m in wire.received if m[0] == topic]
        return f"{granted}; {'it comes' if came else 'nothing comes'}"

    return how


def answer_to_another(town, who):
    """Has ingest answer on a topic of the victim's; what the victim sees."""
    with town.enter(VICTIM, VICTIM) as victim:
        victim.subscribe(f"ack/{VICTIM}/+")
        payload, properties = batch(who, f"ack/{VICTIM}/forged", TRUE)
        if who == VICTIM:
            victim.publish(f"/data/{who}/batch", payload, properties=properties)
            # Two batches of one commit would have one answer, to the second.
            victim.until(f"ack/{VICTIM}/forged")
        else:
            with town.enter(who, who) as wire:
                wire.publish(f"/data/{who}/batch", payload, properties=properties)
        payload, properties = batch(VICTIM, f"ack/{VICTIM}/true")
        victim.publish(f"/data/{VICTIM}/batch", payload, properties=properties)
        victim.until(f"ack/{VICTIM}/true")
        came = any(topic.endswith("/forged") for topic, _, _ in victim.received)
    return "the victim is answered" if came else "the victim sees nothing"


def take_session(owner, client_id):
    """Connects with a client id that `owner` is connected with; what the owner sees."""

    def how(town, who):
        with contextlib.ExitStack() as ends:
            victim = ends.enter_context(town.enter(OPEN if who == OPEN else owner, client_id))
            ends.enter_context(town.enter(who, client_id))
            try:
                victim.ping()
                return "the owner goes on"
            except Ended as end:
                return f"the owner is {end}"

    return how


def inherit_session(owner, topic, sender):
    """Comes back with the client id of a session that waits for messages; whether it gets them."""

    def how(town, who):
        with town.enter(owner, owner, clean=False) as victim:
            victim.subscribe(topic)
        with town.enter(sender) as other:
            other.publish(topic, b"waits")
        with town.enter(who, owner, clean=False) as wire:
            wire.ping()
            came = any(message[1] == b"waits" for message in wire.received)
        return "it gets them" if came else "nothing comes"

    return how
