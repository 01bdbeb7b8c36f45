"""Measure the images: size, start, memory; in containers and without; beside the paper's.

Run on the engine's own machine by ci/bench-images.sh, as root and with nothing but Python,
because processes outside of containers are measured as well: the images' own files, started
with their own loader. Prints tables and appends a JSON object to build/bench.jsonl.
"""

import datetime
import json
import os
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The folder of the harness itself, as the whole package needs more than Python.
sys.path[:0] = [str(ROOT / each) for each in ("ci/image", "tests/harness", "tests/bench")]

import pack  # noqa: E402
from disk import percentile  # noqa: E402
from usage import cpu_ns  # noqa: E402
from wait import eventually  # noqa: E402
from visible import Watcher  # noqa: E402

DOCKER = os.environ.get("DOCKER", "docker")
REGISTRY, TAG = os.environ["REGISTRY"], os.environ["TAG"]
PROJECT = f"dewpoint-bench-{os.getpid()}"
USER = 10001
ROUNDS = 3
PERIOD_MS = 20
READINGS = 1000
WARM_UP = 50
SERVICES = ("sampler", "publisher", "node-mosquitto", "ingest", "broker-mosquitto")
SENSORS = f"live=sim@1,count={READINGS + WARM_UP}"


def docker(*arguments, env=None, **options):
    command = [DOCKER, *map(str, arguments)]
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command, env=environment | (env or {}), capture_output=True, timeout=300, check=False, **options
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} exited {done.returncode}:\n{done.stderr.decode()}")
    return done.stdout


def rss_kb(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError(f"{pid} has no memory")


def free_port():
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


class Compose:
    """Stacks of Compose files, as a user starts them: one `up` a file."""

    def __init__(self, files, settings):
        self._settings = {"REGISTRY": REGISTRY, "TAG": TAG, **{k: str(v) for k, v in settings.items()}}
        self._stacks = [(f"{PROJECT}-{n}", names) for n, names in enumerate(files)]

    def compose(self, stack, *arguments):
        project, names = stack
        files = [word for name in names for word in ("-f", name)]
        command = ["compose", "-p", project, "--env-file", "/dev/null", *files, *arguments]
        return docker(*command, env=self._settings)

    def up(self):
        for stack in self._stacks:
            self.compose(stack, "up", "--detach", "--no-build")

    def down(self):
        for stack in reversed(self._stacks):
            self.compose(stack, "down", "--volumes", "--timeout", "5")

    def containers(self):
        """{(number of the stack, service): identity}"""
        found = {}
        for number, stack in enumerate(self._stacks):
            for identity in self.compose(stack, "ps", "-q").decode().split():
                label = '{{index .Config.Labels "com.docker.compose.service"}}'
                found[number, docker("inspect", "-f", label, identity).decode().strip()] = identity
        return found

    def pids(self):
        return {
            key: int(docker("inspect", "-f", "{{.State.Pid}}", identity))
            for key, identity in self.containers().items()
        }

    def first_line(self, key):
        """When a container wrote its first line of output, in seconds since the epoch."""
        identity = self.containers()[key]

        def stamp():
            lines = docker("logs", "--timestamps", identity).decode().splitlines()
            return next((line.split()[0] for line in lines if "Topic=" in line), None)

        text = eventually(stamp, "a reading is printed", 60, 0.1)
        seconds, fraction = text.rstrip("Z").split(".")
        moment = datetime.datetime.fromisoformat(seconds).replace(tzinfo=datetime.timezone.utc)
        return moment.timestamp() + float(f"0.{fraction}")


class InContainers:
    """node.yml and broker.yml."""

    NAMES = {
        "broker-mosquitto": (0, "mosquitto"),
        "ingest": (0, "ingest"),
        "node-mosquitto": (1, "mosquitto"),
        "sampler": (1, "sampler"),
        "publisher": (1, "publisher"),
    }

    def __init__(self, directory):
        self.database = directory / "broker.db"
        override = directory.parent / f"{directory.name}.yml"
        override.write_text(
            f"volumes: {{store: {{driver_opts: {{type: none, o: bind, device: {directory}}}}}}}\n",
            encoding="utf-8",
        )
        compose = ROOT / "compose"
        settings = {
            "MQTT_PORT": free_port(),
            "NODE_NAME": "orangepi0",
            "SENSORS": SENSORS,
            "PERIOD_MS": PERIOD_MS,
            "ANSWER_WITHIN": 0,
            "PRINT_READINGS": 1,
        }
        self._compose = Compose([(compose / "broker.yml", override), (compose / "node.yml",)], settings)

    def start(self):
        """Seconds until the first reading was stored."""
        begin = time.time()
        self._compose.up()
        return self._compose.first_line(self.NAMES["ingest"]) - begin

    def pids(self):
        found = self._compose.pids()
        return {name: found[key] for name, key in self.NAMES.items()}

    def stop(self):
        self._compose.down()


class Native:
    """The same files without containers: each program with its own image's loader."""

    def __init__(self, directory, roots):
        self.database = directory / "broker.db"
        self._directory = directory
        self._roots = roots
        self._running = {}

    def _spawn(self, name, image, program, *arguments, **settings):
        root = self._roots[image]
        loader = next(path for path in root.glob("lib*/ld-linux*"))
        libraries = next(path for path in (root / "usr/lib").iterdir() if path.name.endswith("-gnu"))
        run = self._directory / name
        run.mkdir()
        os.chown(run, USER, USER)
        environment = {"RUN_DIR": run} | settings
        with open(self._directory / f"{name}.out", "wb") as output:
            self._running[name] = subprocess.Popen(
                [loader, "--library-path", libraries, root / program, *arguments],
                env={key: str(value) for key, value in environment.items()},
                stdout=output,
                stderr=output,
                user=USER,
                group=USER,
            )

    def _mosquitto(self, name, config, port):
        text = (ROOT / "compose/mosquitto" / config).read_text(encoding="ascii")
        access = f"listener {port} 127.0.0.1\nallow_anonymous true"
        text = text.replace("include_dir /mosquitto/access", access)
        text = text.replace("/mosquitto/data/", f"{self._directory}/{name}/")
        path = self._directory / config
        path.write_text(text, encoding="ascii")
        self._spawn(name, "broker", "usr/sbin/mosquitto", "-c", path)

    def start(self):
        node, broker = free_port(), free_port()
        begin = time.time()
        self._mosquitto("broker-mosquitto", "broker.conf", broker)
        url = f"mqtt://127.0.0.1:{broker}"
        store = {"STORE_URL": f"sqlite://{self.database}", "PRINT_READINGS": 1}
        self._spawn("ingest", "ingest", "usr/bin/ingest", MQTT_URL=url, **store)
        self._mosquitto("node-mosquitto", "node.conf", node)
        local = f"mqtt://127.0.0.1:{node}"
        self._spawn("sampler", "sampler", "usr/bin/sampler", MQTT_URL=local, SENSORS=SENSORS, PERIOD_MS=PERIOD_MS)
        outbox = self._directory / "outbox.db"
        settings = {"NODE_NAME": "orangepi0", "MQTT_URL": local, "UPSTREAM_URL": url, "OUTBOX": outbox}
        settings["ANSWER_WITHIN"] = 0
        self._spawn("publisher", "publisher", "usr/bin/publisher", **settings)
        output = self._directory / "ingest.out"
        eventually(lambda: b"Topic=" in output.read_bytes(), "a reading is printed", 30, 0.005)
        return time.time() - begin

    def pids(self):
        return {name: process.pid for name, process in self._running.items()}

    def stop(self):
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait(10)


def stored(database):
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10) as connection:
        return connection.execute("SELECT count(*) FROM reading").fetchone()[0]


def measure(place):
    """Start, CPU a reading, latency and memory of one run."""
    start = place.start()
    watcher = Watcher(place.database, "live", 0.0005)
    try:
        eventually(lambda: stored(place.database) >= WARM_UP, "the services are used to it", 60)
        pids = place.pids()
        before = {name: cpu_ns(pid) for name, pid in pids.items()}
        first = stored(place.database)
        begin_us = time.time_ns() // 1000
        watcher.start()
        eventually(lambda: stored(place.database) >= READINGS + WARM_UP, "all are stored", 120, 0.1)
        rows = stored(place.database) - first
        cpu = {name: (cpu_ns(pid) - before[name]) / 1e3 / rows for name, pid in pids.items()}
        rss = {name: rss_kb(pid) for name, pid in pids.items()}
    finally:
        if watcher.is_alive():
            watcher.stop()
        place.stop()
    # What was there before the watcher looked is not counted.
    late = sorted((seen - ts) / 1000 for ts, seen in watcher.seen if ts > begin_us)
    return {
        "start_s": start,
        "cpu_us": sum(cpu.values()),
        "cpu_us_own": sum(v for k, v in cpu.items() if "mosquitto" not in k),
        "p50_ms": percentile(late, 0.5),
        "p99_ms": percentile(late, 0.99),
        "rss_kb": rss,
    }


def unpack(directory):
    """The files of the images, {name: folder}."""
    roots = {}
    for name in ("sampler", "publisher", "ingest", "broker"):
        made = docker("create", f"{REGISTRY}/{name}:{TAG}", "-").decode().strip()
        archive = docker("export", made)
        docker("rm", made)
        roots[name] = directory / f"root-{name}"
        with tarfile.open(fileobj=BytesIO(archive)) as tar:
            tar.extractall(roots[name], filter="fully_trusted")
        roots[name].chmod(0o755)
    return roots


def fresh(directory, name):
    path = directory / name
    path.mkdir()
    os.chown(path, USER, USER)
    return path


def compare(directory):
    """[{native}, {containers}]: medians of ROUNDS rounds, by turns."""
    roots = unpack(directory)
    runs = ([], [])
    for turn in range(ROUNDS):
        runs[0].append(measure(Native(fresh(directory, f"native-{turn}"), roots)))
        runs[1].append(measure(InContainers(fresh(directory, f"containers-{turn}"))))
    return [median(each) for each in runs]


def median(runs):
    result = {key: statistics.median(run[key] for run in runs) for key in runs[0] if key != "rss_kb"}
    names = runs[0]["rss_kb"]
    result["rss_kb"] = {n: statistics.median(run["rss_kb"][n] for run in runs) for n in names}
    return result


def lab_start():
    """Seconds from `up` to the first stored reading of the lab: a broker and two nodes."""
    starts = []
    for _ in range(ROUNDS):
        lab = Compose([(ROOT / "compose/lab.yml",)], {})
        begin = time.time()
        lab.up()
        starts.append(lab.first_line((0, "ingest")) - begin)
        lab.down()
    return statistics.median(starts)


def paper(archive):
    """Size, start and memory of the stand-in."""
    size = max(pack.sizes({"paper": pack.Archive(archive)}).values())
    starts, memory = [], {}
    for _ in range(ROUNDS):
        stack = Compose([(ROOT / "tests/images/paper/compose.yml",)], {})
        begin = time.time()
        stack.up()
        starts.append(stack.first_line((0, "subscriber")) - begin)
        for (_, name), pid in stack.pids().items():
            if name != "mosquitto":
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
                memory[name] = rss_kb(children[0])
        stack.down()
    return {"bytes": size, "start_s": statistics.median(starts), "rss_kb": memory}


def table(header, lines):
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    for line in [header, *lines]:
        print("  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths)))


def main():
    directory = Path(tempfile.mkdtemp(prefix="dewpoint-bench-", dir="/var/tmp"))
    directory.chmod(0o755)
    try:
        native, contained = compare(directory)
        lab = lab_start()
        stand_in = paper(ROOT / "build/paper.tar")
    finally:
        shutil.rmtree(directory)
    rows = json.loads((ROOT / "build/images/sizes.json").read_text(encoding="utf-8"))
    sizes = {(row["image"], row["platform"]): row["bytes"] for row in rows}
    print("\ncompressed:")
    pack.show(sizes)
    print(f"    {'paper, stand-in':<18}{stand_in['bytes'] / 1e6:14.1f} (this machine's platform, gzip)")

    print(f"\n{1000 // PERIOD_MS} readings a second, {READINGS} readings, medians of {ROUNDS}:")
    pairs = [
        ("start to first stored reading, s", "start_s", 2),
        ("CPU of all five processes, us a reading", "cpu_us", 0),
        ("CPU of sampler, publisher, ingest, us a reading", "cpu_us_own", 0),
        ("reading to committed row, p50, ms", "p50_ms", 2),
        ("reading to committed row, p99, ms", "p99_ms", 2),
    ]
    lines = [
        [what, f"{native[key]:.{digits}f}", f"{contained[key]:.{digits}f}", f"{contained[key] / native[key]:.2f}"]
        for what, key, digits in pairs
    ]
    for name in SERVICES:
        one, other = native["rss_kb"][name], contained["rss_kb"][name]
        lines.append([f"{name}, resident MB", f"{one / 1000:.1f}", f"{other / 1000:.1f}", f"{other / one:.2f}"])
    table(["", "native", "containers", "ratio"], lines)
    print(f"\nlab (9 containers), `up` to first stored reading: {lab:.2f} s")
    memory = ", ".join(f"{name} {kb / 1000:.1f} MB" for name, kb in sorted(stand_in["rss_kb"].items()))
    print(f"the paper's stand-in: first stored reading after {stand_in['start_s']:.2f} s; resident: {memory}")

    record = {
        "bench": "images",
        "bytes": [[*key, value] for key, value in sizes.items()],
        "native": native,
        "containers": contained,
        "lab_start_s": lab,
        "paper": stand_in,
    }
    with open(ROOT / "build/bench.jsonl", "a", encoding="utf-8") as results:
        results.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
