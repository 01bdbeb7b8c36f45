"""Many small messages to a broker as fast as it takes them, past any client library."""

import re
import socket
import struct
import threading
from pathlib import Path

from harness.broker import HOST
from harness.wait import eventually

WINDOW = 2000


def _length(n):
    out = b""
    while True:
        n, low = n >> 7, n & 127
        out += bytes([low | (128 if n else 0)])
        if not n:
            return out


def _packet(kind, body):
    return bytes([kind]) + _length(len(body)) + body


def _text(text):
    return struct.pack(">H", len(text)) + text.encode()


def _connect(port, name, session_s):
    connection = socket.create_connection((HOST, port), 60)
    expiry = b"\x11" + struct.pack(">I", session_s)
    start = bytes([5, 0 if session_s else 2]) + struct.pack(">H", 0)
    body = _text("MQTT") + start + _length(len(expiry)) + expiry + _text(name)
    connection.sendall(_packet(0x10, body))
    assert connection.recv(1024)[0] == 0x20, "CONNACK"
    return connection


def leave_session(port, name, topics):
    """A subscriber with a session that lasts, and is away."""
    connection = _connect(port, name, 86400)
    connection.sendall(_packet(0x82, struct.pack(">H", 1) + b"\0" + _text(topics) + b"\x01"))
    assert connection.recv(1024)[0] == 0x90, "SUBACK"
    connection.close()


def flood(port, topic, payload, n):
    """Publish n times with QoS 1, and return when the broker has answered all."""
    connection = _connect(port, "flood", 0)
    answered = [0]

    def read():
        # Each PUBACK without a reason is four bytes; one with a reason is longer.
        while answered[0] < 4 * n:
            data = connection.recv(1 << 20)
            if not data:
                return
            answered[0] += len(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    for first in range(0, n, WINDOW // 2):
        eventually(
            lambda first=first: 4 * first - answered[0] <= 4 * WINDOW, "the broker answers"
        )
        connection.sendall(
            b"".join(
                _packet(0x32, _text(topic) + struct.pack(">H", i % 60000 + 1) + b"\0" + payload)
                for i in range(first, min(first + WINDOW // 2, n))
            )
        )
    eventually(lambda: answered[0] >= 4 * n, "the broker answered all")
    connection.close()


def peak_bytes(pid):
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024
