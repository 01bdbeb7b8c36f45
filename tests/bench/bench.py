"""Measure: bench.py [NAME...], all but the long ones unless named. See README.md."""

import datetime
import json
import platform
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import backlog  # noqa: E402
import identity  # noqa: E402
import ingest  # noqa: E402
import ingest_full  # noqa: E402
import latency  # noqa: E402
import noise  # noqa: E402
import postgres  # noqa: E402
import prune  # noqa: E402
import rollup  # noqa: E402
import sampler  # noqa: E402
import sparse  # noqa: E402
import table  # noqa: E402
import wear  # noqa: E402
import wire  # noqa: E402
from harness.lab import Lab  # noqa: E402
from harness.service import BIN, ROOT  # noqa: E402

BENCHES = {
    "noise": noise.measure,
    "sampler": sampler.measure,
    "latency": latency.measure,
    "backlog": backlog.measure,
    "ingest": ingest.measure,
    "ingest-full": ingest_full.measure,
    "postgres": postgres.measure,
    "prune": prune.measure,
    "rollup": rollup.measure,
    "rollup-full": rollup.measure_full,
    "wear": wear.measure,
    "sparse": sparse.measure,
    "wire": wire.measure,
    "identity": identity.measure,
}
# What takes longer, or is started otherwise (ci/bench-card.sh).
LONG = ["ingest-full", "rollup-full", "wear", "sparse", "wire", "identity"]
RESULTS = ROOT / "build" / "bench.jsonl"


def run(name):
    """One benchmark in a directory of its own on a disk; whether it ended well."""
    # Not /tmp, which may be memory.
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir="/var/tmp"))
    lab = Lab(directory, log_level="info")
    print(f"{name}:", flush=True)
    try:
        records, rows = BENCHES[name](lab)
        lab.end()
    except (AssertionError, OSError):
        traceback.print_exc()
        for process, text in lab.log_tails(1000):
            print(f"--- {process}\n{text}", file=sys.stderr)
        return False
    finally:
        lab.kill_all()
        shutil.rmtree(directory)
    RESULTS.parent.mkdir(exist_ok=True)
    with open(RESULTS, "a", encoding="utf-8") as results:
        for record in records if isinstance(records, list) else [records]:
            results.write(json.dumps(record) + "\n")
    table.show(rows)
    return all(row.met() for row in rows if row.decisive)


def main(names):
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"bench.py: {unknown[0]}: known are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    chosen = [name for name in BENCHES if name not in LONG]
    today = datetime.datetime.now(datetime.timezone.utc).date()
    print(f"{today}, {processor()}, Linux {platform.release()}, services of {BIN}")
    # A figure that is not met is no failure: machines differ. A wrong count is.
    results = [run(name) for name in names or chosen]
    print(f"results are in {RESULTS.relative_to(ROOT)}")
    return 0 if all(results) else 1


def processor():
    """How many of which."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
