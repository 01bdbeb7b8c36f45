"""What identities cost: mutual TLS and the rights of a role beside an open broker, by turns."""

import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import monotonic

import runs
from table import Row

from harness import Lab, eventually
from harness.broker import HOST, free_port
from harness.certs import ALWAYS, Certificates
from harness.service import ROOT
from harness.usage import cpu_ns

PROVISION = ROOT / "compose/provision"
ROUNDS = 3
SENDERS, BATCH, EACH = 50, 100, 20_000
MANY = 1000
RIGHTS = """
dir=$1 prefix=/data shown=$1
. "$2/names.sh"
. "$2/rights.sh"
rights_json
"""


def plugin():
    """Debian has it in a folder of the architecture."""
    return next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))


class Identities:
    """Certificates of MANY nodes, and the rights that `make provision` would give them."""

    def __init__(self, directory):
        self.certificates = Certificates(directory / "certificates", validity=ALWAYS)
        names = [f"node-1-{i}" for i in range(MANY)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._issue, names))
        self.folder = directory / "identities"
        (self.folder / "identities").mkdir(parents=True)
        for name in names:
            self._facts(name, "kind=node", "state=active")
        self._facts("_ingest", "kind=service", "state=active", f"hashed={self._hashed('secret')}")
        command = ["sh", "-euc", RIGHTS, "sh", self.folder, PROVISION]
        self.rights = subprocess.run(command, capture_output=True, check=True, timeout=300).stdout

    def _issue(self, name):
        pair = self.certificates.client(name)
        assert pair.key.exists()

    def _facts(self, name, *facts):
        (self.folder / "identities" / name).write_text("\n".join(facts) + "\n", encoding="ascii")

    def _hashed(self, password):
        path = self.folder / "password"
        command = ["mosquitto_passwd", "-b", "-c", path, "one", password]
        subprocess.run(command, capture_output=True, check=True, timeout=30)
        return path.read_text(encoding="ascii").strip().partition(":")[2]


class Centre:
    """A broker with ingest: open, or with identities."""

    def __init__(self, directory, identities):
        self.lab = Lab(directory, log_level="error")
        settings = directory / "broker.conf"
        settings.write_text(runs.BROKER)
        self.options = []
        if identities is None:
            self.broker = self.lab.broker(settings=settings)
            self.ingest = self.lab.ingest(self.broker)
            return
        rights, inside = directory / "rights.json", free_port()
        rights.write_bytes(identities.rights)
        rights.chmod(0o600)
        more = ["allow_anonymous false", "use_identity_as_username true"]
        more += ["use_username_as_clientid true", "tls_version tlsv1.3"]
        more += [f"plugin {plugin()}", f"plugin_opt_config_file {rights}", f"listener {inside} {HOST}"]
        certificates = identities.certificates
        self.broker = self.lab.broker(
            settings=settings,
            certificates=certificates,
            mutual=True,
            revocations=certificates.revocations(),
            more=more,
        )
        self.ingest = self.lab.ingest(self.broker, MQTT_URL=f"mqtt://_ingest:secret@{HOST}:{inside}")
        self.options = ["--certificates", certificates.directory]

    def nodes(self, **options):
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        command = [runs.PROGRAMS / "nodes", "--url", self.broker.url(), *self.options, *words, "--quiet"]
        pipe = subprocess.PIPE
        return subprocess.Popen([str(word) for word in command], stdout=pipe, stderr=pipe, text=True)


@contextmanager
def centre(parent, identities):
    directory = Path(parent) / "run"
    directory.mkdir()
    its = Centre(directory, identities)
    try:
        yield its
        its.lab.end()
    finally:
        its.lab.kill_all()
        shutil.rmtree(directory)


def throughput(parent, identities):
    """Readings a second, and the broker's CPU for one."""
    with centre(parent, identities) as its:
        before = cpu_ns(its.broker.process.pid)
        nodes = its.nodes(nodes=SENDERS, readings=EACH, batch=BATCH)
        out, err = nodes.communicate(timeout=600)
        assert nodes.returncode == 0, err
        told = runs.fields(out)
        used = cpu_ns(its.broker.process.pid) - before
        readings = SENDERS * EACH
        assert told["answered"] == readings and told["rejected"] == 0
        assert its.lab.database.count() == readings
        return {"rate": readings / told["seconds"], "broker_cpu_us": used / 1000 / readings}


def wait_connected(nodes, wanted):
    """Until the program says that so many are."""
    for line in nodes.stderr:
        if line == f"connected nodes={wanted}\n":
            return
    raise AssertionError(f"the nodes ended before {wanted} of them were connected")


def reconnect(parent, identities):
    """Seconds from a killed broker's start until all nodes are back."""
    with centre(parent, identities) as its:
        nodes = its.nodes(nodes=MANY, readings=1_000_000, batch=10, rate=1)
        try:
            wait_connected(nodes, MANY)
            its.broker.kill()
            wait_connected(nodes, 0)
            began = monotonic()
            its.broker.start()
            wait_connected(nodes, MANY)
            seconds = monotonic() - began
        finally:
            nodes.send_signal(signal.SIGTERM)
            out, _ = nodes.communicate(timeout=120)
        eventually(
            lambda: its.lab.database.count() >= runs.fields(out)["answered"], "what is answered is stored"
        )
        return seconds


def measure(lab):
    """(record for bench.jsonl, rows of the table)."""
    identities = Identities(lab.directory)
    rounds = [(throughput(lab.directory, None), throughput(lab.directory, identities)) for _ in range(ROUNDS)]
    open_s, tls_s = reconnect(lab.directory, None), reconnect(lab.directory, identities)
    ratio = median(ours["rate"] / plain["rate"] for plain, ours in rounds)
    record = {"bench": "identity", "nodes": SENDERS, "batch": BATCH, "readings": SENDERS * EACH}
    record |= {"ratio": round(ratio, 3), "reconnect_nodes": MANY}
    record |= {"reconnect_s": round(tls_s, 1), "open_reconnect_s": round(open_s, 1)}
    for place, name in enumerate(("open", "tls")):
        for figure in ("rate", "broker_cpu_us"):
            value = median(one[place][figure] for one in rounds)
            record[f"{name}_{figure}"] = round(value, 0 if figure == "rate" else 3)
    rows = [
        Row("batches of 100 with identities: of without", ratio, "", at_least=0.85),
        Row("readings a second, open", record["open_rate"], ""),
        Row("readings a second, identities", record["tls_rate"], ""),
        Row("broker's CPU a reading, open", record["open_broker_cpu_us"], "us"),
        Row("broker's CPU a reading, identities", record["tls_broker_cpu_us"], "us"),
        Row(f"{MANY} nodes back after a restart", tls_s, "s", at_most=60),
        Row(f"{MANY} nodes back, open", open_s, "s"),
    ]
    return record, rows
