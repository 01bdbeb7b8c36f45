"""Everything one test starts, in one directory, ended and checked with it."""

import os

from harness.broker import Broker
from harness.client import Client
from harness.database import Database
from harness.postgres import Postgres, PostgresDatabase
from harness.service import Service

# Tests are about answers that come at once, unless they say otherwise; with GATHER=1 in the
# environment, all of them have a publisher whose answers may take their time.
PACE = {"ANSWER_WITHIN": "2s", "SEND_EVERY": "1s"} if os.environ.get("GATHER") else {"ANSWER_WITHIN": "0"}


class Lab:
    """Brokers, services and clients of one test.

    Services are named <service>-<number>, in the order they were made. Each
    method that makes a service starts it and waits until it is healthy, unless
    told start=False or healthy=False. Settings are the service's environment.
    As a context: whatever happens in it, nothing survives it.
    """

    def __init__(self, directory, log_level="debug"):
        self.directory = directory
        self.log_level = log_level
        self.database_path = directory / "broker.db"
        self.postgres = None
        self.brokers = []
        self.services = []
        self.clients = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill_all()

    def broker(self, start=True, **options):
        broker = Broker(self.directory / f"mosquitto-{len(self.brokers)}", **options)
        self.brokers.append(broker)
        if start:
            broker.start()
        return broker

    def client(self, broker, **options):
        client = Client(broker, **options)
        self.clients.append(client)
        return client

    def use_postgres(self, start=True, directory=None, **options):
        """From here on, ingest and the pruner are those for PostgreSQL, with a server of the lab's own."""
        self.postgres = Postgres(directory or self.directory / "postgres", **options)
        if start:
            self.postgres.start()
        return self.postgres

    @property
    def database(self):
        if self.postgres is not None:
            return PostgresDatabase(self.postgres)
        return Database(self.database_path)

    def service(self, name, start=True, healthy=True, **settings):
        instance = f"{name}-{len(self.services)}"
        settings = {"INSTANCE": instance, "LOG_LEVEL": self.log_level, **settings}
        # A Unix socket's path is short: so is the directory's.
        service = Service(name, self.directory / f"s{len(self.services)}", settings)
        self.services.append(service)
        if start:
            service.start(healthy)
        return service

    def sampler(self, local, sensors, **settings):
        """A sampler with a ledger at sampler.ledger_path."""
        ledger = self.directory / f"ledger-{len(self.services)}"
        settings = {"MQTT_URL": local.url(), "SENSORS": sensors, "LEDGER": ledger, **settings}
        sampler = self.service("sampler", **settings)
        sampler.ledger_path = ledger
        return sampler

    def publisher(self, local, central, node="raspberrypi4", **settings):
        """A publisher with an outbox at publisher.outbox_path."""
        outbox = settings.get("OUTBOX", self.directory / f"outbox-{len(self.services)}.db")
        settings = {
            "NODE_NAME": node,
            "MQTT_URL": local.url(),
            "UPSTREAM_URL": central.url(),
            "OUTBOX": outbox,
            **PACE,
            **settings,
        }
        publisher = self.service("publisher", **settings)
        publisher.outbox_path = outbox
        return publisher

    def ingest(self, central, **settings):
        name = "ingest" if self.postgres is None else "ingest-postgres"
        return self.service(name, **{**self._centre(central), **settings})

    def pruner(self, central, **settings):
        settings = {**self._centre(central), **settings}
        if self.postgres is None:
            return self.service("retention-pruner", **settings)
        # A short name, for the health socket's path.
        settings = {"INSTANCE": f"pruner-{len(self.services)}", **settings}
        return self.service("retention-pruner-postgres", **settings)

    def _centre(self, central):
        """Settings of a service at the centre; database_path may be moved before."""
        url = f"sqlite://{self.database_path}" if self.postgres is None else self.postgres.url()
        return {"MQTT_URL": central.url(), "STORE_URL": url}

    def end(self):
        """Stop what still runs and check it: a clean stop, no sanitizer report, no silent death.

        A database server goes on: what is stored may still be asked.
        """
        problems = []
        for client in self.clients:
            client.close()
        # Senders stop before receivers, as they were made after them.
        for service in reversed(self.services):
            try:
                if service.running():
                    service.stop()
                service.check_sanitizers()
            except AssertionError as problem:
                problems.append(str(problem))
        self._kill_processes()
        assert not problems, "\n".join(problems)

    def _kill_processes(self):
        for process in self.services + [broker.process for broker in self.brokers]:
            process.kill()

    def kill_all(self):
        self._kill_processes()
        if self.postgres is not None:
            self.postgres.kill()

    def log_tails(self, characters=3000):
        """(name, end of its stderr) of everything that ran, for a failed test's report."""
        tails = [(f"{s.name} in {s.directory.name}", s.stderr()) for s in self.services]
        tails += [(b.directory.name, b.process.stderr()) for b in self.brokers]
        if self.postgres is not None:
            tails += [("postgres", self.postgres.process.stderr())]
        return [(name, text[-characters:]) for name, text in tails if text]
