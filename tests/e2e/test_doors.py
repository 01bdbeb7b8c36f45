"""What an attacker may try at a provisioned broker, while a node's readings arrive.

Each attempt of doors.py is refused, as its maker sees it and as our log or counters show, and
works for somebody who may.
"""

import itertools
import re
from collections import defaultdict

import pytest
from attempts import FALSE
from doors import ATTEMPTS, DEVICE, LOGIN, NO_LINE, NODE, NOWHERE, Line
from stack import REPO, docker, free_port
from town import Town
from wire import Ended

from harness.wait import eventually

SENSORS, EACH, PERIOD_MS = 10, 1000, 25
CLIENTS = ("homeassistant", "operator-eve", "operator-mia")


def makers():
    """{attempt: who makes it}: a node or a device, where it is one of these, with no other attempt of
    the same action. Of a user's further refusals of one action the log has no line of their own."""
    numbers = defaultdict(lambda: itertools.count(1))

    def maker(attempt):
        if attempt.who not in (NODE, DEVICE):
            return attempt.who
        return f"{attempt.who}-{next(numbers[attempt.who, getattr(attempt.shows, 'action', None)])}"

    return {attempt: maker(attempt) for attempt in ATTEMPTS}


MAKERS = makers()


@pytest.fixture(scope="module")
def town(new_stack, new_identities, tmp_path_factory):
    """The broker, with a node that sends SENSORS * EACH readings meanwhile."""
    nodes = sorted({who for who in MAKERS.values() if who.startswith(NODE)})
    identities = new_identities("doors", nodes=["flood", "bob", "revoked", *nodes])
    for name in ["gadget", "revoked-gadget", *sorted({who for who in MAKERS.values() if who.startswith(DEVICE)})]:
        identities.run("device", name)
    for name in CLIENTS:
        identities.run("client", name)
    identities.run("revoke", "revoked", BROKER="down")
    identities.run("revoke", "revoked-gadget", BROKER="down")
    port = free_port()
    broker = new_stack("doors", "broker.yml", MQTTS_PORT=port, **identities.broker())
    broker.up()
    to_all = new_stack("doors-open", "broker.yml", ALLOW_INSECURE=1, MQTT_PORT=free_port())
    to_all.up("mosquitto")
    sensors = ",".join(f"s{i}=sim@{i},count={EACH}" for i in range(SENSORS))
    settings = identities.node("flood", port)
    node = new_stack("doors-node", "node.yml", SENSORS=sensors, PERIOD_MS=PERIOD_MS, **settings)
    broker.all_healthy()
    node.up()
    town = Town(identities, broker, to_all, tmp_path_factory.mktemp("town"))
    town.node = node
    return town


def tried(how, town, who):
    try:
        return how(town, who)
    except Ended as end:
        return str(end).removeprefix("refused: ")


results = {}


def line_of(town, since, attempt, who):
    """What the log says of it. What TLS refuses mosquitto 2.0 does not log each time: again then."""
    found = re.search(f"(?m)^.*{attempt.shows.pattern(who)}.*$", town.log()[since:])
    if not found and isinstance(attempt.shows, Line):
        assert tried(attempt.how, town, who) == attempt.sees
    return found and found[0]


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_refused(town, attempt):
    who, since = MAKERS[attempt], len(town.log())
    control = who if attempt.control == attempt.who == DEVICE else attempt.control
    results[attempt] = [who, tried(attempt.how, town, who), "?", control, "?"]
    assert results[attempt][1] == attempt.sees
    if attempt.shows not in NO_LINE:
        results[attempt][2] = eventually(lambda: line_of(town, since, attempt, who), f"a line: {attempt.shows}")
    results[attempt][4] = tried(attempt.allowed or attempt.how, town, control)
    assert results[attempt][4] == attempt.works


def test_no_reading_went_astray(town):
    """Each of the node's is there once, under its name; of what was tried, nothing is."""
    flood = "FROM reading JOIN sensor ON sensor.id = sensor WHERE topic = '/data/flood'"
    total = [[str(SENSORS * EACH)]]
    eventually(lambda: town.broker.query(f"SELECT count(*) {flood}") == total, "all are stored", 120)
    assert town.broker.query(f"SELECT count(*) FROM (SELECT DISTINCT sensor, temperature {flood})") == total
    streams = "SELECT first, last FROM stream_interval i JOIN stream s ON s.id = i.stream WHERE node = 'flood'"
    assert town.broker.query(streams) == [["1", str(SENSORS * EACH)]]
    assert town.broker.query(f"SELECT DISTINCT topic FROM dht WHERE temp = {FALSE}") == []
    others = "SELECT DISTINCT topic FROM dht WHERE topic != '/data/flood'"
    makers = {f"/data/{who}" for who in MAKERS.values()}
    assert {topic for (topic,) in town.broker.query(others)} <= {"/data/bob", *makers}
    assert town.broker.query("SELECT topic, reason FROM dead_letter") == []


def test_nobody_was_thrown_out(town):
    """Neither ingest nor the node had to connect again."""
    for stack, service in ((town.broker, "ingest"), (town.node, "publisher")):
        log = docker("logs", stack.container(service).id).stderr
        assert "disconnected" not in log and "connection lost" not in log, log


def test_logins_are_counted(town):
    """Lines about one address are gathered; what was left out is said at the broker's end."""
    town.broker.compose("stop", "mosquitto")
    lines = re.findall(r'msg="refused: login.*', town.log())
    counts = [int((re.search(r" count=(\d+)", line) or ["", 1])[1]) for line in lines]
    assert sum(counts) == sum(attempt.shows == LOGIN for attempt in ATTEMPTS), lines


def test_the_table():
    """build/doors.md: what came of each."""
    lines = ["| attempt | by | sees | shows in our log | works for | who sees |", "|---|---|---|---|---|---|"]
    for attempt, (who, sees, line, control, works) in results.items():
        shows = line if line != "?" else attempt.shows
        shows = re.sub(r"^\S+: ", "", str(shows)).replace("|", "/")[:160]
        lines.append(f"| {attempt} | {who} | {sees} | `{shows}` | {control} | {works} |")
    seen = sum(attempt.shows != NOWHERE for attempt in ATTEMPTS)
    lines += ["", f"{len(results)} attempts, {seen} of them in a log line or a counter of ours."]
    (REPO / "build/doors.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    assert len(results) == len(ATTEMPTS) and seen >= 45
