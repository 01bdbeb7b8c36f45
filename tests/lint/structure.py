#!/usr/bin/env python3
"""Proves that ci/structure.py passes a correct tree and finds each violation."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

RULES = pathlib.Path(__file__).resolve().parents[2] / "ci/structure.py"

CLEAN = {
    "common/README.md": "| `bus` | x |\n| `log` | x |\n",
    "common/log.h": "void log_it(void);\n",
    "common/log.c": '#include "log.h"\nvoid log_it(void) {}\n',
    "common/bus.h": "struct dp_bus {\n\tint n;\n};\nvoid bus(struct dp_bus *b);\n",
    "common/bus.c": '#include "bus.h"\n#include "log.h"\nvoid bus(struct dp_bus *b)\n{\n\tb->n = 1;\n\tlog_it();\n}\n',
    "services/sampler/README.md": "| `main`, `ring` | x |\n| `drivers/sim` | x |\n",
    "services/sampler/ring.h": "struct ring {\n\tint used;\n\tstruct {\n\t\tint due;\n\t} main;\n};\nint ring(struct ring *r);\n",
    "services/sampler/ring.c": '#include "ring.h"\nint ring(struct ring *r)\n{\n\treturn r->used++;\n}\n',
    "services/sampler/drivers/sim.c": "int sim(void);\nint sim(void) { return 1; }\n",
    "services/sampler/main.c": '#include "ring.h"\n#include "bus.h"\n'
    "int main(void)\n{\n\tstruct ring r = {0};\n\tr.used = 1;\n\treturn ring(&r);\n}\n",
    "services/ingest/README.md": "| `main` | x |\n",
    "services/ingest/main.c": "int main(void) { return 0; }\n",
}

# What is added to which file, and what must be said of it.
BROKEN = [
    ("common/log.c", '#include "bus.h"\n', "common/bus: stands in a circle"),
    (
        "common/log.c",
        "struct dp_bus;\nvoid bus(struct dp_bus *b);\nvoid up(void);\nvoid up(void) { bus(0); }\n",
        "uses bus of common/bus",
    ),
    (
        "services/sampler/ring.c",
        "int sim(void);\nint other(void);\nint other(void) { return sim(); }\n",
        None,  # a call downward is no finding
    ),
    (
        "common/log.c",
        "int sim(void);\nint up(void);\nint up(void) { return sim(); }\n",
        "common/log: common never needs a service",
    ),
    (
        "services/sampler/main.c",
        "void f(struct ring *r);\nvoid f(struct ring *r)\n{\n\tr->used += 2;\n}\n",
        "services/sampler/main.c: writes used of struct ring",
    ),
    (
        "services/sampler/main.c",
        "int g(struct ring *r);\nint g(struct ring *r)\n{\n\treturn r->used == 2;\n}\n",
        None,  # to read it is no finding
    ),
    (
        "services/sampler/main.c",
        "struct ring;\nvoid h(struct ring *r);\nvoid h(struct ring *r)\n{\n\tr->main.due = 1;\n}\n",
        None,  # a member that bears its writer's name
    ),
    (
        "services/sampler/drivers/sim.h",
        "struct sim {\n\tint n;\n};\nstatic inline void f(struct ring *r)\n{\n\tr->used = 1;\n}\n",
        "services/sampler/drivers/sim.h: writes used of struct ring",
    ),
    ("services/sampler/new.h", "\n", "services/sampler/new: services/sampler/README.md does not list `new`"),
    ("services/sampler/drivers/new.h", "\n", "does not list `drivers/new`"),
    ("common/log.c", "\n" * 500, "common/log.c: has 502 lines, and at most 500 are allowed"),
    ("services/ingest/main.c", "\n" * 60, "services/ingest/main.c: has 61 lines, and at most 60"),
]


def check(root, added=None):
    shutil.rmtree(root, ignore_errors=True)
    files = dict(CLEAN)
    if added:
        files[added[0]] = files.get(added[0], "") + added[1]
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in root.rglob("*.c"):
        target = root / "obj" / path.relative_to(root).with_suffix(".o")
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-I", root / "common", "-c", "-o", target, path], check=True)
    done = subprocess.run([RULES, root / "obj", root], capture_output=True, text=True)
    assert (done.returncode != 0) == (done.stdout.strip() != ""), done
    return done.stdout


def main():
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "tree"
        for added in [None, *BROKEN]:
            expected = added[2] if added else None
            said = check(root, added)
            if expected not in said if expected else said.strip():
                print(f"{added}: expected {expected}, and it said: {said}", file=sys.stderr)
                wrong += 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
