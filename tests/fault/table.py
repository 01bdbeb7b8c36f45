"""Turn build/fault.jsonl into the two Markdown tables of README.md.

    python3 tests/fault/table.py [FILE]

A row is a case, its seeds added up. The second table holds the bridge's missing messages,
one number a seed, against the same fault's in the first.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIGURES = ["sent", "accepted", "stored", "duplicates", "missing", "reported lost"]
# The bridge's fault, and the case of the matrix that does the same or worse.
SAME = {
    "outage": "centre away 10 s",
    "outage and node killed": "centre away publisher and local mosquitto killed",
    "central killed subscriber stopped": "acknowledged messages die in the central mosquitto",
    "subscriber killed": "ingest killed",
    "node killed": "local mosquitto killed",
}


def read(path):
    """{case: [row of each seed]}, in the order they ran."""
    cases = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            cases.setdefault(row["case"], []).append(row)
    return cases


def markdown(header, rows):
    yield "| " + " | ".join(header) + " |"
    yield "|---" + "|---:" * (len(header) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def matrix(cases):
    rows = []
    for case, runs in cases.items():
        if not case.startswith("bridge "):
            sums = [f"{sum(run[figure] for run in runs):,}" for figure in FIGURES]
            rows.append([case, str(len(runs)), *sums])
    return markdown(["case", "runs", *FIGURES], rows)


def missing(runs):
    """One number a seed."""
    return ", ".join(f"{run['missing']:,}" for run in runs) or "not run"


def comparison(cases):
    rows = []
    for fault, case in SAME.items():
        bridges = [missing(cases.get(f"bridge ({v}): {fault}", [])) for v in ("default", "tuned")]
        rows.append([case, *bridges, missing(cases.get(case, []))])
    return markdown(["missing of 20,000, by seed", "bridge", "bridge, tuned", "Dewpoint"], rows)


def main(path):
    cases = read(path)
    print("\n".join([*matrix(cases), "", *comparison(cases)]))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/fault.jsonl")
