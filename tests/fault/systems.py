"""A centre and nodes of the matrix: provisioned as people have theirs, or with OPEN=1 open to all."""

import os

from harness import Certificates
from harness.certs import ALWAYS
from harness.rights import ProvisionedCentre, ProvisionedNode, rights_of
from harness.service import ROOT

MOSQUITTO = ROOT / "compose/mosquitto"
OPEN = bool(os.environ.get("OPEN"))


class OpenNode:
    """A node's own broker, for everybody who reaches it."""

    def __init__(self, lab):
        self.broker = lab.broker(settings=MOSQUITTO / "node.conf")

    def url(self, _user):
        return self.broker.url()

    def refused(self):
        return []


class OpenCentre:
    """The central broker, for everybody who reaches it."""

    def __init__(self, lab, **broker):
        self.lab = lab
        self.inside = self.outside = lab.broker(settings=MOSQUITTO / "broker.conf", **broker)

    def ingest(self):
        return self.lab.ingest(self.inside)

    def pruner(self):
        return self.lab.pruner(self.inside)

    def publisher(self, local, node, door=None, **settings):
        return self.lab.publisher(local, door or self.outside, node=node, **settings)

    def person(self, _name):
        return self.lab.client(self.inside)

    device = person

    def refused(self):
        return []


def new_node(lab):
    return OpenNode(lab) if OPEN else ProvisionedNode(lab, settings=MOSQUITTO / "node.conf")


def new_centre(lab, nodes, devices=(), **broker):
    """The central broker, with identities for these nodes and devices. Further options are the broker's."""
    if OPEN:
        return OpenCentre(lab, **broker)
    certificates = Certificates(lab.directory / "ca", validity=ALWAYS)
    rights = rights_of(lab.directory / "who", dict.fromkeys(nodes, ()), devices=devices)
    return ProvisionedCentre(lab, certificates, rights, settings=MOSQUITTO / "broker.conf", **broker)


def refused(service):
    """Lines of a service's log that say that a broker refused it something."""
    return [
        line
        for line in service.stderr().splitlines()
        if "the broker refuses" in line or "not authori" in line.lower() or "bad user name" in line.lower()
    ]
