"""The lab of `make up`: two nodes replay real captures into one broker."""

import json
import subprocess
import time

import checks
import pytest
from stack import PAPER_LINE, REPO

from harness.wait import eventually

CAPTURES = {
    "/data/raspberrypi4": "dht11_1mhz.csv",
    "/data/orangepi0": "am2302_1mhz_3samples.csv",
}


def truth(capture):
    """[(temperature, humidity)] of a capture's good transactions, in order."""
    files = json.loads((REPO / "tests/data/truth.json").read_text(encoding="utf-8"))["files"]
    entry = next(file for file in files if file["file"] == capture)
    return [
        (f"{t['temperature']:.1f}", f"{t['humidity']:.1f}")
        for t in entry["transactions"]
        if t["result"] == "ok"
    ]


@pytest.fixture(scope="module")
def lab(new_stack, new_identities):
    nodes = [topic.removeprefix("/data/") for topic in CAPTURES]
    identities = new_identities("lab", broker="broker", nodes=nodes)
    stack = new_stack("lab", "lab.yml", LAB_DIR=identities.path)
    start = time.monotonic()
    stack.up()
    stack.started_s = time.monotonic() - start
    return stack


def rows(lab, topic, after=0):
    """[(temperature, humidity)] of a topic, in the order they were sampled.

    Ids follow the order of arrival, and a live reading may overtake an older one.
    """
    sql = (
        "SELECT dht.temp, dht.humidity FROM dht JOIN reading ON reading.id = dht.id"
        f" WHERE dht.topic = '{topic}' AND dht.id > {after} ORDER BY reading.ts"
    )
    return [tuple(row) for row in lab.query(sql)]


def both_topics(lab, count, after=0):
    def stored():
        got = {topic: len(rows(lab, topic, after)) for topic in CAPTURES}
        assert min(got.values()) >= count, got
        return True

    eventually(stored, f"{count} readings of both nodes are stored", 60)


def test_first_readings(lab):
    """Both nodes' readings reach the database by themselves."""
    start = time.monotonic()
    both_topics(lab, 1)
    first = time.monotonic() - start
    print(f"\nfirst readings of both nodes {first:.1f} s after `up` ({lab.started_s:.1f} s) returned")


def test_values_are_the_captures(lab):
    """Each row is what was on the wire, in the capture's order, over and over."""
    both_topics(lab, 5)
    for topic, capture in CAPTURES.items():
        good = truth(capture)
        stored = rows(lab, topic)
        at = good.index(stored[0])
        assert stored == [good[(at + n) % len(good)] for n in range(len(stored))], topic


def test_ingest_prints_the_papers_lines(lab):
    """One line a reading on ingest's stdout, and nothing else there."""
    both_topics(lab, 1)
    lines = lab.stdout("ingest").splitlines()
    printed = [PAPER_LINE.match(line) for line in lines]
    assert printed and all(printed), lines
    assert {match[1] for match in printed} == set(CAPTURES)


def test_every_container_is_healthy(lab):
    lab.all_healthy()


def test_every_container_is_confined(lab):
    """No root, no shell, no capability, no writable root, no open end, no published port."""
    containers = lab.containers()
    assert len(containers) == 9
    for container in containers:
        checks.confined(container)
        checks.limited(container)
        ports = container.state["NetworkSettings"]["Ports"]
        assert not any(ports.values()), f"{container} publishes {ports}"


def test_every_service_is_small(lab):
    """Less than 6 MB resident, each; the publishers, which speak TLS, 2 MB more."""
    lab.all_healthy()
    sizes = {c.service: checks.rss_kb(c) for c in lab.containers() if not c.is_mosquitto}
    print(f"\nresident kB: {sizes}")
    for service, size in sizes.items():
        more = checks.TLS_KB if service.endswith("publisher") else 0
        assert size < checks.RSS_LIMIT_KB + more, sizes


def test_restarting_everything_loses_nothing(lab):
    """Every container is restarted once; old rows stay, new ones come."""
    both_topics(lab, 2)
    before = lab.query("SELECT * FROM dht ORDER BY id")
    lab.compose("restart")
    lab.all_healthy()
    last = int(before[-1][0])
    both_topics(lab, 2, after=last)
    after = lab.query("SELECT * FROM dht ORDER BY id")
    assert after[: len(before)] == before
    for topic, capture in CAPTURES.items():
        assert set(rows(lab, topic)) <= set(truth(capture)), topic
    assert lab.query("SELECT * FROM dead_letter") == []


def test_readings_are_shown_without_touching_them(lab):
    """`make readings` shows the last rows, and the database file stays as it was."""
    both_topics(lab, 2)
    lab.compose("stop")
    path = "/data/broker.db"
    databases = []
    shown = None
    for name in ("before", "after"):
        target = REPO / "build" / f"e2e-{lab.project}-{name}.db"
        target.parent.mkdir(exist_ok=True)
        assert lab.copy("ingest", path, target)
        databases.append(target.read_bytes())
        target.unlink()
        if shown is None:
            env = {"PROJECT": lab.project, "ROWS": "4", "PATH": "/usr/bin:/bin"}
            shown = subprocess.run(
                [REPO / "ci/readings.sh"], env=env, capture_output=True, text=True, check=True
            ).stdout.splitlines()
    assert databases[0] == databases[1]
    assert shown[0].startswith("sqlite> SELECT * FROM dht")
    expected = lab.query("SELECT * FROM dht ORDER BY id DESC LIMIT 4")
    assert [line.split("|") for line in shown[1:]] == expected[::-1]
    lab.compose("start")


def test_dead_letters_are_shown(lab):
    """`make dead-letters` shows when, where, why, how often, and how they begin."""
    env = {"PROJECT": lab.project, "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(
        [REPO / "ci/dead-letters.sh"], env=env, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    # Captures of real sensors leave none.
    assert shown == ["last (UTC)|topic|reason|count|bytes|begins"]


def test_stop_is_clean_and_keeps_the_readings(lab):
    """Every process ends by itself on SIGTERM with exit code 0, well within its grace."""
    lab.all_healthy()
    start = time.monotonic()
    lab.compose("stop")
    took = time.monotonic() - start
    print(f"\nstopped in {took:.1f} s")
    codes = {c.service: c.state["State"]["ExitCode"] for c in lab.containers()}
    assert set(codes.values()) == {0}, codes
    before = lab.query("SELECT count(*) FROM dht")
    assert int(before[0][0]) > 0
    lab.compose("down")
    assert lab.query("SELECT count(*) FROM dht") == before
