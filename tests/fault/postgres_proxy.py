"""Stands between a service and PostgreSQL, counts what they say, and spoils one of it."""

import socket
import struct
import threading

from harness.broker import HOST

# What stands in for a statement: refused for a reason that is nobody's data.
REFUSED = b"SELECT no_such_function()\0"


class PostgresProxy:
    """Listens on a loopback port; without TLS it knows where a message ends.

    kind  "cut": the k-th message of either side is lost, and the connection with it;
          "refuse": the k-th statement becomes one that the server refuses;
          "stall": the k-th statement is lost, and all that would follow it
    about  only statements with these bytes in them count
    instead  what the server refuses, ended by a NUL
    """

    def __init__(self, target_port, kind, k, about=b"", instead=REFUSED):
        self.target_port = target_port
        self.kind = kind
        self.k = k
        self.about = about
        self.instead = instead
        self.count = 0
        self.spoiled = None  # what the k-th was
        self._lock = threading.Lock()
        self._sockets = []
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Break what there is."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            sockets, self._sockets = self._sockets, []
        for one in sockets:
            _end(one)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self.target_port))
            except OSError:
                client.close()
                continue
            for one in (client, server):  # a message is passed on at once
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._sockets += [client, server]
            pair = (client, server)
            threading.Thread(target=self._pump, args=(*pair, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(*reversed(pair), False), daemon=True).start()

    def _pump(self, source, target, from_client):
        reader = source.makefile("rb")
        typed = not from_client  # a client's first message has no type
        try:
            while message := _read(reader, typed):
                if typed or not from_client:
                    message = self._pass(message, from_client)
                typed = True
                if message is None:
                    while self.kind == "stall" and _read(reader, typed):
                        pass  # whoever waits has to end it
                    break
                target.sendall(message)
        except (OSError, ValueError):
            pass  # an end is gone: so is the other
        _end(source)
        _end(target)

    def _pass(self, message, from_client):
        """What goes on of a message; None: nothing any more."""
        kind, body = message[:1], message[5:]
        statement = from_client and kind in b"QP" and self.about in body
        with self._lock:
            if self.spoiled is not None or not (statement or self.kind == "cut"):
                return message
            self.count += 1
            if self.count < self.k:
                return message
            self.spoiled = ("client " if from_client else "server ") + repr(message[:60])
        if self.kind in ("cut", "stall"):
            return None
        if kind == b"Q":
            body = self.instead
        else:  # Parse: a name, the statement, the types
            name, _, rest = body.partition(b"\0")
            body = name + b"\0" + self.instead + rest.partition(b"\0")[2]
        return kind + struct.pack("!I", len(body) + 4) + body


def _read(reader, typed):
    head = reader.read(5 if typed else 4)
    if len(head) < (5 if typed else 4):
        return None
    (length,) = struct.unpack("!I", head[-4:])
    rest = reader.read(length - 4)
    return head + rest if len(rest) == length - 4 else None


def _end(one):
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # it is gone
    one.close()
