"""What the bytes of a node's connection are for: MQTT, read from the packets of a cable."""

import struct
from collections import Counter

CONNECT, PUBLISH, PUBACK, PINGREQ, PINGRESP = 1, 3, 4, 12, 13
NUMBERS = {0x01: 1, 0x02: 4, 0x23: 2}  # properties of a PUBLISH, by the bytes of their value
TEXTS = {0x03: 1, 0x08: 1, 0x09: 1, 0x26: 2}  # by how many texts with a length they have
ALIAS = 0x23
TLS_HANDSHAKE = 22


def variable(data, at):
    """(number, where it ends), or None while it is not all there."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if not byte & 128:
            return value, at
    return None


def text(data, at):
    end = at + 2 + struct.unpack_from("!H", data, at)[0]
    return data[at + 2 : end], end


def alias_of(properties):
    """The topic alias among them, or None."""
    at = 0
    while at < len(properties):
        identity = properties[at]
        at += 1
        if identity == ALIAS:
            return struct.unpack_from("!H", properties, at)[0]
        if identity in NUMBERS:
            at += NUMBERS[identity]
        elif identity in TEXTS:
            for _ in range(TEXTS[identity]):
                _, at = text(properties, at)
        else:  # a subscription's identifier
            _, at = variable(properties, at)
    return None


class Direction:
    """One side's bytes of a connection, put together in order."""

    def __init__(self):
        self.next = None
        self.waiting = b""
        self.aliases = {}

    def add(self, packet):
        """What is new of it; a segment that came before counts only as a packet."""
        if packet.starts:
            self.next = packet.sequence + 1
            return b""
        known = (self.next - packet.sequence) % (1 << 32)
        if known >= 1 << 31 or known > len(packet.data):
            return b""
        new = packet.data[known:]
        self.next = (self.next + len(new)) % (1 << 32)
        return new


class Connection:
    """Both directions between a client's port and the broker's."""

    def __init__(self):
        self.up, self.down = Direction(), Direction()
        self.five = True
        self.secret = False

    def take(self, upward, packet, kinds):
        """Add the bytes to kinds, by what they are for."""
        way = self.up if upward else self.down
        new = way.add(packet)
        if new and way is self.up and not way.waiting and new[0] == TLS_HANDSHAKE:
            self.secret = True
        if self.secret:
            kinds["TLS"] += len(new)
            return
        way.waiting += new
        while way.waiting:
            length = variable(way.waiting, 1)
            if length is None or length[1] + length[0] > len(way.waiting):
                return
            end = length[1] + length[0]
            self._message(way, way.waiting[:end], length[1], kinds)
            way.waiting = way.waiting[end:]

    def _message(self, way, message, at, kinds):
        kind = message[0] >> 4
        if kind == CONNECT:
            self.five = message[at + 6] == 5
        if kind == PUBLISH:
            self._publish(way, message, at, kinds)
        elif kind == PUBACK:
            kinds["PUBACK"] += len(message)
        elif kind in (PINGREQ, PINGRESP):
            kinds["keepalive"] += len(message)
        else:
            kinds["other"] += len(message)

    def _publish(self, way, message, at, kinds):
        topic, at = text(message, at)
        at += 2 if message[0] & 6 else 0
        if self.five:
            length, at = variable(message, at)
            alias = alias_of(message[at : at + length])
            at += length
            if alias is not None:
                topic = way.aliases.setdefault(alias, topic) if not topic else topic
                way.aliases[alias] = topic
        name = what(topic.decode())
        kinds[name] += len(message) - at
        kinds[f"{name} head"] += at


def what(topic):
    """What a topic's messages are, in a word."""
    first = topic.split("/")[0]
    if topic.endswith("/batch"):
        return "batch"
    return {"ack": "answer", "state": "state", "status": "status", "stats": "statistics"}.get(first, "plain")


class Traffic:
    """What has passed between nodes and a broker's port so far."""

    def __init__(self):
        self.kinds = Counter()
        self.packets = self.bytes = 0
        self._connections = {}

    def take(self, upward, packet):
        client = packet.source if upward else packet.target
        if packet.starts and upward:
            self._connections[client] = Connection()
        self.packets += 1
        self.bytes += packet.length
        self.kinds["IP and TCP headers"] += packet.length - len(packet.data)
        self._connections[client].take(upward, packet, self.kinds)

    def snapshot(self):
        return {"bytes": self.bytes, "packets": self.packets, "kinds": Counter(self.kinds)}
