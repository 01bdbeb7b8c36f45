"""A provisioned broker, one that is open to all, and everybody who may connect to them."""

import io
import re
import subprocess
import tarfile

from stack import docker
from wire import Ended, Wire, tls

from harness.certs import Certificates, Pair

TLS, SERVICES, DEVICES_TLS, DEVICES = 8883, 1883, 8884, 1884
OPEN = "whoever"  # at the broker that is open to all


class Town:
    """Connects as anyone; `folder` is where a copy of the identities' files is put."""

    def __init__(self, identities, broker, open_broker, folder):
        self.identities, self.broker, self.folder = identities, broker, folder
        self.copy()
        self.id = broker.container("mosquitto").id
        self.host = _address(broker)
        self.open_host = _address(open_broker)

    def copy(self):
        """The files as they are now; they are root's."""
        packed = self.identities.tools.run("tar", "-cf", "-", ".", binary=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            tar.extractall(self.folder, filter="data")

    @property
    def ca(self):
        return str(self.folder / "ca/ca.crt")

    def pair(self, who):
        """Certificate and key of a node or client."""
        if who == "broker":
            return Pair(*(self.folder / f"broker/mosquitto/server.{x}" for x in ("crt", "key")))
        folder, name = (f"clients/{who}", "client") if who[0] == "_" else (f"nodes/{who}/publisher", "node")
        return Pair(*(self.folder / folder / f"{name}.{x}" for x in ("crt", "key")))

    def forged(self, name, of="another authority", validity=None):
        """A certificate with this name: of our authority with other dates, or of another one."""
        if of == "ours":
            made = self.folder / "forged" / name
            made.mkdir(parents=True, exist_ok=True)
            certificates = object.__new__(Certificates)
            certificates.directory, certificates.validity = made, None
            certificates.ca, certificates.ca_key = self.folder / "ca/ca.crt", self.folder / "ca/ca.key"
        else:
            certificates = Certificates(self.folder / "another", name=of)
        return certificates.client(name, validity)

    def authority(self):
        """How our authority calls itself."""
        command = ["openssl", "x509", "-in", self.ca, "-noout", "-subject", "-nameopt", "multiline"]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
        return re.search(r"commonName *= (.*)", said)[1]

    def password(self, who):
        """Of a device or a service of the centre."""
        if who[0] != "_":
            return re.search(r"password=(.*)", (self.folder / f"devices/{who}").read_text())[1]
        folder = {"_pruner": "retention-pruner"}.get(who, who[1:])
        if who == "_health":
            return re.search(r"-P (.*)", (self.folder / "broker/mosquitto/mosquitto_sub").read_text())[1]
        return re.search(r":([^:@]*)@", (self.folder / f"broker/{folder}/mqtt_url").read_text())[1]

    def door(self, who):
        """(port, options of Wire, of CONNECT) by which who comes in."""
        if (self.folder / f"devices/{who}").exists():
            return DEVICES, {}, {"user": who, "password": self.password(who)}
        if self.pair(who)[0].exists():
            return TLS, {"context": tls(self.ca, self.pair(who))}, {}
        return SERVICES, {}, {"user": who, "password": self.password(who)}

    def wire(self, port, context=None):
        return Wire(self.host, port, context)

    def enter(self, who, client_id="", **options):
        """A connection, let in; otherwise Ended says why not."""
        if who == OPEN:
            return _let_in(Wire(self.open_host, SERVICES), client_id, options)
        port, how, login = self.door(who)
        return _let_in(Wire(self.host, port, **how), client_id, {**login, **options})

    def log(self):
        return docker("logs", self.id).stderr


def _let_in(wire, client_id, options):
    said = wire.connect(client_id, **options)
    if said != "granted":
        raise Ended(f"refused: {said}")
    return wire


def _address(stack):
    (network,) = stack.container("mosquitto").state["NetworkSettings"]["Networks"].values()
    return network["IPAddress"]

