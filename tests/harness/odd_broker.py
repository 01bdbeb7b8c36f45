"""A broker made by hand: answers what a real one seldom does."""

import socket
import threading

from harness.broker import HOST

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14


class OddBroker:
    """MQTT 5, one thread a connection; nothing is delivered.

    suback   the code for each SUBSCRIBE, or None: no answer; may be changed while it runs
    puback   the code for each QoS 1 PUBLISH
    largest  of a packet, as CONNACK says; None: it says nothing
    aliases  how many topic aliases CONNACK allows; `no_alias`: the
             DISCONNECT reason with which one that is used ends the connection
    hang_up  close the connection after CONNACK; `goodbye`: with this DISCONNECT reason
    """

    certificates = None

    def __init__(
        self,
        suback=1,
        puback=0,
        largest=None,
        hang_up=False,
        goodbye=None,
        aliases=0,
        no_alias=None,
    ):
        self.suback, self.puback = suback, puback
        self.largest = largest
        self.hang_up, self.goodbye = hang_up, goodbye
        self.aliases, self.no_alias = aliases, no_alias
        self.packets = []  # (type, topic or filter)
        self._peers = []
        self._server = socket.create_server((HOST, 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self):
        return f"mqtt://{HOST}:{self.port}"

    def count(self, kind):
        return sum(1 for packet in list(self.packets) if packet[0] == kind)

    def close(self):
        for peer in [self._server, *self._peers]:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            peer.close()

    def _accept(self):
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            self._peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            stream = peer.makefile("rb")
            while self._packet(peer, stream):
                pass
        except (OSError, ValueError):
            pass

    def _packet(self, peer, stream):
        first = stream.read(1)
        if not first:
            return False
        length = shift = 0
        while True:
            byte = stream.read(1)[0]
            length |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        body = stream.read(length)
        kind = first[0] >> 4
        if kind == CONNECT:
            self.packets.append((kind, None))
            properties = b""
            if self.largest is not None:
                properties += bytes([0x27]) + self.largest.to_bytes(4, "big")
            if self.aliases:
                properties += bytes([0x22, 0, self.aliases])
            length = len(properties)
            peer.sendall(bytes([0x20, 3 + length, 0, 0, length]) + properties)
            if self.goodbye is not None:
                peer.sendall(bytes([0xE0, 2, self.goodbye, 0]))
            if self.hang_up or self.goodbye is not None:
                peer.shutdown(socket.SHUT_RDWR)
                return False
        elif kind == SUBSCRIBE:
            size = int.from_bytes(body[3:5], "big")  # no properties
            self.packets.append((kind, body[5 : 5 + size].decode()))
            if self.suback is not None:
                peer.sendall(bytes([0x90, 4]) + body[:2] + bytes([0, self.suback]))
        elif kind == PUBLISH:
            size = int.from_bytes(body[:2], "big")
            self.packets.append((kind, body[2 : 2 + size].decode()))
            if self.no_alias is not None and size == 0:
                peer.sendall(bytes([0xE0, 2, self.no_alias, 0]))
                return False
            if first[0] & 6:
                mid = body[2 + size : 4 + size]
                peer.sendall(bytes([0x40, 4]) + mid + bytes([self.puback, 0]))
        elif kind == PINGREQ:
            peer.sendall(bytes([0xD0, 0]))
        return kind != DISCONNECT
