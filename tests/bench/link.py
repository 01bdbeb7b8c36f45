"""A cable between two boards: two network namespaces, and a count of what passes between them."""

import contextlib
import os
import socket
import struct
import subprocess
import threading

CENTRE, NODE = "10.11.12.1", "10.11.12.2"
PORT = "centre0"
MTU = 1500
ALL_PROTOCOLS, IPV4 = 0x0003, 0x0800
TCP = 6
SOL_PACKET, STATISTICS = 263, 6  # of <linux/if_packet.h>


def _ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, (
        f"ip {' '.join(words)}: {done.stderr.strip()}; a network of one's own is needed:"
        " unshare -Urn, as make bench-wire does"
    )


class Link:
    """This process is at the centre, whose address is CENTRE; at_node() is the other end.

    Segments are as on an Ethernet, MTU 1500: the kernel may not hand over larger ones that
    nobody would ever see on a cable.
    """

    def __init__(self):
        self._centre = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        os.unshare(os.CLONE_NEWNET)
        self._node = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        os.setns(self._centre, os.CLONE_NEWNET)
        there = f"/proc/{os.getpid()}/fd/{self._node}"
        _ip("link", "add", PORT, "type", "veth", "peer", "name", "node0", "netns", there)
        self._up(PORT, CENTRE)
        with self.at_node():
            self._up("node0", NODE)

    @staticmethod
    def _up(port, address):
        _ip("link", "set", "lo", "up")
        _ip("link", "set", port, "mtu", str(MTU), "gso_max_segs", "1", "up")
        _ip("address", "add", f"{address}/24", "dev", port)

    @contextlib.contextmanager
    def at_node(self):
        """What this thread starts meanwhile runs at the node."""
        os.setns(self._node, os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(self._centre, os.CLONE_NEWNET)

    def close(self):
        """The namespaces, and the cable with them, go when the last process in them has."""
        os.close(self._node)
        os.close(self._centre)


class Packet:
    """An IPv4 packet with TCP: its addresses' ports, its length at IP level and what it carries."""

    def __init__(self, data):
        header = (data[0] & 15) * 4
        self.length = struct.unpack_from("!H", data, 2)[0]
        self.source, self.target, self.sequence = struct.unpack_from("!HHL", data, header)
        self.starts = bool(data[header + 13] & 2)  # SYN
        self.data = data[header + (data[header + 12] >> 4) * 4 : self.length]


class Sniffer(threading.Thread):
    """Sees every packet of the cable; handler(packet) is called on this thread."""

    def __init__(self, handler):
        super().__init__(daemon=True)
        self._handler = handler
        # Packets that leave are only shown to those who ask for all protocols.
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ALL_PROTOCOLS))
        self._socket.bind((PORT, ALL_PROTOCOLS))
        self._socket.settimeout(0.2)
        self._ended = threading.Event()
        self.error = None

    def run(self):
        try:
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    self._one(*self._socket.recvfrom(1 << 16))
        except AssertionError as error:
            self.error = error

    def _one(self, data, address):
        if address[1] != IPV4 or data[9] != TCP:
            return
        packet = Packet(data)
        assert packet.length <= MTU, f"a packet of {packet.length} bytes, which no cable carries"
        self._handler(packet)

    def stop(self):
        """Nothing may have gone by unseen."""
        self._ended.set()
        self.join(10)
        _, lost = struct.unpack("II", self._socket.getsockopt(SOL_PACKET, STATISTICS, 8))
        self._socket.close()
        if self.error is not None:
            raise self.error
        assert lost == 0, f"{lost} packets were not counted"
