"""An MQTT 5 connection made by hand: sends what a library would not, and says what came back."""

import os
import socket
import ssl
import struct

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL = 1, 2, 3, 4, 5, 6
PUBCOMP, SUBSCRIBE, SUBACK, PINGREQ, DISCONNECT = 7, 8, 9, 12, 14
WAIT_S = 20
REASONS = {
    0x81: "malformed packet",
    0x82: "protocol error",
    0x85: "client id not valid",
    0x86: "bad user or password",
    0x87: "not authorized",
    0x8E: "session taken over",
    0x90: "topic name invalid",
    0x94: "topic alias invalid",
    0x95: "packet too large",
}


def number(n):
    out = b""
    while True:
        n, low = divmod(n, 128)
        out += bytes([low | (128 if n else 0)])
        if not n:
            return out


def text(words):
    data = words if isinstance(words, bytes) else words.encode()
    return struct.pack(">H", len(data)) + data


def packet(kind, body, flags=0):
    return bytes([kind << 4 | flags]) + number(len(body)) + body


def user_property(name, value):
    return b"\x26" + text(name) + text(value)


def connect(client_id, user=None, password=None, will=None, clean=True, level=5):
    """Bytes of a CONNECT; will is (topic, payload, retain), its QoS 1."""
    flags = 2 if clean else 0
    properties = b"" if clean else b"\x11" + struct.pack(">I", 3600)
    tail = b""
    if will:
        topic, payload, retain = will
        flags |= 4 | 1 << 3 | (32 if retain else 0)
        tail += (number(0) if level == 5 else b"") + text(topic) + text(payload)
    if user is not None:
        flags |= 128
        tail += text(user)
    if password is not None:
        flags |= 64
        tail += text(password)
    head = text("MQTT") + bytes([level, flags]) + struct.pack(">H", 60)
    head += number(len(properties)) + properties if level == 5 else b""
    return packet(CONNECT, head + text(client_id) + tail)


def reason(code):
    return "granted" if code < 0x80 else REASONS.get(code, f"reason {code:#x}")


class Ended(Exception):
    """The broker has ended the connection; str() says what the caller saw."""


def tls(ca=None, pair=None, newest=None):
    """Of somebody who does not mind whom he talks to; pair is (certificate, key)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if ca else ssl.CERT_NONE
    if ca:
        context.load_verify_locations(ca)
    if pair:
        context.load_cert_chain(*map(str, pair))
    if newest:
        context.maximum_version = newest
    return context


class Wire:
    """One connection. What ends it is raised as Ended."""

    def __init__(self, host, port, context=None):
        self._mid = 0
        self.received = []  # (topic, payload, retained)
        try:
            self._socket = socket.create_connection((host, port), WAIT_S)
            if context:
                self._socket = context.wrap_socket(self._socket)
        except OSError as error:
            raise Ended(said(error)) from None
        self._buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def send(self, data):
        try:
            self._socket.sendall(data)
        except OSError as error:
            # The reason may lie there already.
            self._drain(error)

    def _drain(self, error):
        try:
            while True:
                self.next()
        except OSError:
            raise Ended(said(error)) from None

    def _read(self, n):
        while len(self._buffer) < n:
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise Ended(said(error)) from None
            if not data:
                raise Ended("closed")
            self._buffer += data
        data, self._buffer = self._buffer[:n], self._buffer[n:]
        return data

    def next(self):
        """(kind, flags, body) of the next packet; messages are noted, DISCONNECT ends it."""
        first = self._read(1)[0]
        length = shift = 0
        while True:
            byte = self._read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = self._read(length)
        kind, flags = first >> 4, first & 15
        if kind == DISCONNECT:
            raise Ended(f"disconnected: {reason(body[0]) if body else 'closed'}")
        if kind == PUBLISH:
            self._note(flags, body)
        return kind, flags, body

    def _note(self, flags, body):
        size = struct.unpack(">H", body[:2])[0]
        topic, rest = body[2 : 2 + size].decode(), body[2 + size :]
        if flags & 6:
            self.send(packet(PUBACK, rest[:2] + b"\0\0"))
            rest = rest[2:]
        # Properties are shorter than 128 bytes, or of two bytes' length.
        length, skip = rest[0], 1
        if length >= 128:
            length, skip = (length & 127) | rest[1] << 7, 2
        self.received.append((topic, rest[skip + length :], bool(flags & 1)))

    def wait(self, *kinds):
        while True:
            kind, _, body = self.next()
            if kind in kinds:
                return body

    def connect(self, client_id="", **options):
        """What CONNACK says."""
        self.send(connect(client_id, **options))
        return reason(self.wait(CONNACK)[1])

    def _next_mid(self):
        self._mid += 1
        return struct.pack(">H", self._mid)

    def publish(self, topic, payload=b"", qos=1, retain=False, properties=b""):
        """What the broker answers; for QoS 0 nothing, and whether it goes on."""
        mid = self._next_mid() if qos else b""
        body = text(topic) + mid + number(len(properties)) + properties + payload
        self.send(packet(PUBLISH, body, qos << 1 | int(retain)))
        if not qos:
            self.ping()
            return "nothing"
        answer = self.wait(PUBACK, PUBREC)
        code = answer[2] if len(answer) > 2 else 0
        if qos == 2 and code < 0x80:
            self.send(packet(PUBREL, mid + b"\0\0", 2))
            self.wait(PUBCOMP)
        return reason(code)

    def subscribe(self, topic_filter, qos=1):
        """What SUBACK says of it."""
        mid = self._next_mid()
        self.send(packet(SUBSCRIBE, mid + b"\0" + text(topic_filter) + bytes([qos]), 2))
        return reason(self.wait(SUBACK)[-1])

    def ping(self):
        """What was sent to us before has arrived then."""
        self.send(packet(PINGREQ, b""))
        self.wait(13)

    def until(self, topic, wanted=None):
        """The payload of the first message on it that is `wanted`, whichever if None."""
        while True:
            for got, payload, _ in self.received:
                if got == topic and wanted in (None, payload):
                    return payload
            self.next()

    def drop(self):
        """As a board does whose power fails: no DISCONNECT."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def said(error):
    """What a TLS library tells its caller, without the place in its source."""
    if isinstance(error, ssl.SSLError):
        name = (error.reason or "closed").replace("_", " ").lower()
        return "TLS: " + name.removeprefix("tlsv13 ").removeprefix("tlsv1 ").removeprefix("sslv3 ")
    if isinstance(error, TimeoutError):
        return "no answer"
    return "closed" if error.errno in (None, 32, 104) else os.strerror(error.errno).lower()
