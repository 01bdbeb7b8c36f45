"""What a reading costs the card: bytes that reach it at the centre and on a node.

All stacks are measured in the same minutes, each with a card of its own: a reading's bytes do
not depend on how fast the machine is.
"""

import os
import time

from stack import WAL_PAGES, Centre, Node, Prototype
from table import Row, grid

SECONDS = int(os.environ.get("WEAR_S") or 600)
HEALTH_S = 30
RESTART_S = 60  # of the node's ingest
DAY_S = 86400
PRUNE_INTERVAL_S = 3600  # retention-pruner's default
MB = 1_000_000

# {name: (what makes it, the publisher's settings, the record's words, the most bytes a reading)}
CENTRES = {
    "at once": ({}, {"ANSWER_WITHIN": "0"}, (0, 0), None),
    "within 10 s": ({}, {}, (10, 0), 2700),
    "by the minute": ({}, {"SEND_EVERY": "60s"}, (10, 60), 900),
    "100 sensors": ({"nodes": 10, "sensors": 10, "period_ms": 20_000}, {}, (10, 0), 7000),
}


def begin(directory, stacks):
    """Start them one after the other, and wait until each is as it will be."""
    for name, (shape, settings, _, _) in CENTRES.items():
        stacks[name] = Centre(directory, name, **shape, **settings)
    stacks["idle"] = Centre(directory, "idle", sensors=0)
    stacks["node"] = Node(directory, "node")
    stacks["prototype"] = Prototype(directory, "prototype")
    for stack in stacks.values():
        stack.start()
    for stack in stacks.values():
        stack.ready()
        stack.keep_logs()


def pass_time(stacks, node):
    """The minutes that are measured; the number of the node's ingests that were killed."""
    restarts = 0
    end = time.monotonic() + SECONDS
    health = restart = time.monotonic()
    while time.monotonic() < end:
        now = time.monotonic()
        if now >= health:
            health += HEALTH_S
            for stack in stacks:
                stack.check_health()
        if now >= restart + RESTART_S:
            restart += RESTART_S
            restarts += 1
            node.ingest.restart()
        time.sleep(max(0, min(end, health, restart + RESTART_S) - time.monotonic()))
    return restarts


def whole_bytes(figures):
    """With what a run leaves for later, in proportion.

    The log's pages go into the file once in 6,000 of them, and each page that was changed
    meanwhile once; the file's growth anyway. The pruner runs once an hour.
    """
    whole = figures["bytes"]
    if "checkpoint_bytes" in figures:
        share = figures["checkpoint_bytes"] * figures["log_pages"] / WAL_PAGES
        whole += min(figures["checkpoint_bytes"], share + figures["growth_bytes"])
        whole += figures["prune_bytes"] * figures["seconds"] / PRUNE_INTERVAL_S
    return whole


def measure(lab):
    """(records for bench.jsonl, rows of the table)."""
    stacks = {}
    try:
        begin(lab.directory, stacks)
        for stack in stacks.values():
            stack.begin()
        restarts = pass_time(stacks.values(), stacks["node"])
        figures = {name: stack.end() for name, stack in stacks.items()}
        for name, stack in stacks.items():
            figures[name] |= stack.rest()
        for stack in stacks.values():
            stack.finish()
    finally:
        for stack in stacks.values():
            stack.kill()
    return records(figures, restarts), rows(figures)


def a_reading(figures):
    return whole_bytes(figures) / figures["readings"]


def a_day(figures):
    return figures["bytes"] / figures["seconds"] * DAY_S


def records(figures, restarts):
    found = []
    for name, (shape, _, (within, every), _) in CENTRES.items():
        nodes, sensors = shape.get("nodes", 2), shape.get("sensors", 5)
        record = {
            "bench": "wear",
            "answer_within_s": within,
            "send_every_s": every,
            "bytes_a_reading": round(a_reading(figures[name])),
            "sensors": nodes * sensors,
            "rate": nodes * sensors * 1000 / shape.get("period_ms", 2000),
        }
        found.append(record | figures[name])
    idle = {"bench": "wear", "idle": True, "bytes_a_day": round(a_day(figures["idle"]))}
    node = {"bench": "wear", "card": "node", "ingest_restarts": restarts}
    paper = {"bench": "wear", "prototype": True, "bytes_a_reading": round(a_reading(figures["prototype"]))}
    found.append(idle | figures["idle"])
    found.append(node | figures["node"])
    found.append(paper | figures["prototype"])
    return found


def rows(figures):
    header = ["", "seconds", "readings", "bytes", "ingest's", "mosquitto's", "log lines", "pages"]
    header += ["growth", "checkpoint", "prune"]
    grid(header, [cells(name, figures[name]) for name in figures])
    found = []
    for name, (_, _, _, most) in CENTRES.items():
        found.append(Row(f"centre, {name}", a_reading(figures[name]), "bytes a reading", at_most=most))
    found.append(Row("the 2023 prototype, a stand-in", a_reading(figures["prototype"]), "bytes a reading"))
    found.append(Row("centre, idle", a_day(figures["idle"]) / MB, "MB a day", at_most=20))
    found.append(Row("node, its link up, ingest killed each minute", figures["node"]["bytes"], "bytes", at_most=0))
    return found


def cells(name, figures):
    names = ["seconds", "readings", "bytes", "ingest_bytes", "mosquitto_bytes", "log_lines"]
    names += ["log_pages", "growth_bytes", "checkpoint_bytes", "prune_bytes"]
    return [name, *(f"{figures[each]:,}" if each in figures else "" for each in names)]
