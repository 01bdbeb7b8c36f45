"""Who may come in: nobody from outside as it comes, anyone with ALLOW_INSECURE=1, and after
provisioning whoever has an identity."""

import socket
import struct

import pytest
from stack import DEV_IMAGE, docker, free_port

from harness.client import Client
from harness.wait import eventually

CONNECT = bytes.fromhex("101000044d5154540502003c000003") + b"abc"


class At:
    """A broker as harness.client wants one."""

    certificates = None

    def __init__(self, port):
        self.port = port


def address():
    """This machine's own, as others on its network see it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return probe.getsockname()[0]


def accepts(host, port):
    """Whether a stranger who says CONNECT is answered with a CONNACK of success."""
    with socket.socket() as stranger:
        stranger.settimeout(5)
        try:
            stranger.connect((host, port))
            stranger.sendall(CONNECT)
            answer = stranger.recv(4)
        except OSError:
            return False
        return len(answer) == 4 and struct.unpack("BBBB", answer)[0] == 0x20 and answer[3] == 0


@pytest.mark.parametrize("insecure", [False, True])
def test_from_outside(new_stack, insecure):
    port = free_port()
    settings = {"ALLOW_INSECURE": 1} if insecure else {}
    name = "insecure" if insecure else "closed"
    broker = new_stack(name, "broker.yml", MQTT_PORT=port, **settings)
    broker.up()
    broker.all_healthy()
    assert accepts("127.0.0.1", port)
    assert accepts(address(), port) == insecure
    client = Client(At(port))
    try:
        client.publish("/data/esp1", b'{"temperature":21.5}', qos=1)
        eventually(lambda: broker.query("SELECT 1 FROM dht WHERE temp = 21.5"), "it is stored")
    finally:
        client.close()
    broker.remove()


def test_provisioned_only_tls_is_published(new_stack, new_identities):
    port = free_port()
    identities = new_identities("access")
    broker = new_stack("provisioned", "broker.yml", MQTTS_PORT=port, **identities.broker())
    broker.up()
    broker.all_healthy()
    ports = broker.container("mosquitto").state["NetworkSettings"]["Ports"]
    assert {name for name, at in ports.items() if at} == {"8883/tcp"}
    assert not accepts("127.0.0.1", port)
    # Nor without a password from a network where the other listeners are.
    network = f"{broker.project}_default"
    command = ["mosquitto_pub", "-h", "mosquitto", "-t", "/data/esp1", "-m", "1"]
    for listener in (1883, 1884):
        words = [*command, "-p", listener]
        refused = docker(
            "run", "--rm", "--network", network, DEV_IMAGE, *words, check=False
        )
        assert refused.returncode != 0 and "not authorised" in refused.stderr.lower(), refused
    broker.remove()


def test_a_word_that_is_none(new_stack):
    """ALLOW_INSECURE is 0 or 1; another word opens nothing."""
    broker = new_stack("word", "broker.yml", ALLOW_INSECURE="yes", MQTT_PORT=free_port())
    result = broker.compose("up", "--detach", check=False)
    assert result.returncode != 0 and "broker-mosquitto-yes" in result.stderr
