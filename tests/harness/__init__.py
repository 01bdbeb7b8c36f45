"""What the integration tests share: real brokers, real services, readers of what they leave."""

from harness.broker import Broker
from harness.centre import Centre
from harness.certs import Certificates
from harness.client import Client
from harness.clock import BoardClock
from harness.database import Database
from harness.lab import Lab
from harness.ledger import Ledger
from harness.peer import Peer, reading
from harness.service import Service
from harness.wait import eventually

__all__ = [
    "BoardClock",
    "Broker",
    "Centre",
    "Certificates",
    "Client",
    "Database",
    "Lab",
    "Ledger",
    "Peer",
    "Service",
    "eventually",
    "reading",
]
