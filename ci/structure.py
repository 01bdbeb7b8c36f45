#!/usr/bin/env python3
"""The rules that keep the house tidy, read off the sources and their compiled objects.

    ci/structure.py OBJECTS [ROOT]

OBJECTS is the folder that holds common/ and services/ compiled (build/lint/obj). One line
a finding, `file: rule`; exits 1 when there is any. tests/lint/structure.py proves that
each rule can fail.

A part is a .c file with its header of the same name. Part A needs part B when it includes
B's header or calls what B defines. Then:

- there is no circle: every part stands above all that it needs;
- common never needs a service;
- a struct that bears its part's name (`struct outbox` of outbox.h, `struct dp_bus` of
  bus.c) is written by that part alone, or by the parts of its own folder within a service;
  what others keep in it is a member that bears their name (`stream->sender.due` in
  sender.c, `stream->outbox.row` in outbox/), and VALUES lists what is a plain value;
- a folder's README lists every part of it;
- a main.c has at most 60 lines, another file 500, unless LONG says why.
"""

import pathlib
import re
import subprocess
import sys
from collections import defaultdict

MOST_LINES = 500
MOST_LINES_OF_MAIN = 60
LONG = {
    "common/bus.c": "the states of a connection: one struct, one writer",
    "services/ingest/postgres/pg.c": "the states of a session: one struct, one writer",
}
VALUES = {
    "dp_reading": "filled by whoever reads one",
    "dp_clock": "filled by whoever asks a clock",
}
STRUCT = re.compile(r"^struct (\w+) \{$", re.MULTILINE)
POINTER = re.compile(r"\bstruct (\w+) \*(?!const)(\w+)\s*[,;)=]")
WRITE = r"\b%s->(\w+)(?:\[[^\]]*\]|\.\w+)*\s*(?:[-+|&^*/]?=(?!=)|\+\+|--)"
INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def without_comments(text):
    text = re.sub(r'"(?:\\.|[^"\\])*"', '""', text)
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.DOTALL)


class House:
    def __init__(self, objects, root):
        self.root, self.objects = root, objects
        self.files = sorted(
            path
            for top in ("common", "services")
            for path in (root / top).rglob("*.[ch]")
        )
        self.findings = []
        self.needs = defaultdict(dict)  # part -> {part: why}

    def name(self, path):
        return path.relative_to(self.root).as_posix()

    def part(self, path):
        return self.name(path.with_suffix(""))

    def say(self, where, rule):
        self.findings.append(f"{where}: {rule}")

    def read_includes(self):
        for path in self.files:
            source = path.read_text()
            for header in INCLUDE.findall(source):
                for base in (path.parent, self.root / "common", self.root / "services"):
                    target = (base / header).resolve()
                    if target in self.resolved:
                        self.need(self.part(path), self.part(target), f'includes "{header}"')
                        break

    @property
    def resolved(self):
        return {path.resolve() for path in self.files}

    def need(self, a, b, why):
        if a != b:
            self.needs[a].setdefault(b, why)

    def read_calls(self):
        defined, wanted = defaultdict(set), defaultdict(set)
        for path in self.files:
            if path.suffix != ".c":
                continue
            object_file = self.objects / path.relative_to(self.root).with_suffix(".o")
            if not object_file.exists():
                self.say(self.name(path), f"is not compiled: {object_file} is missing")
                continue
            symbols = subprocess.run(
                ["nm", "-P", object_file], check=True, capture_output=True, text=True
            ).stdout
            for line in symbols.splitlines():
                symbol, kind = line.split()[:2]
                if kind == "U":
                    wanted[self.part(path)].add(symbol)
                elif kind.isupper():
                    defined[symbol].add(self.part(path))
        for part, symbols in sorted(wanted.items()):
            for symbol in sorted(symbols):
                for target in sorted(defined.get(symbol, ())):
                    if self.reaches(part, target):
                        self.need(part, target, f"uses {symbol}")

    @staticmethod
    def reaches(a, b):
        """Services of one name in two programs are not linked with each other."""
        service = lambda part: part.split("/")[1] if part.startswith("services/") else ""
        return service(b) == "" or service(a) in ("", service(b))

    def together(self, path, owner):
        """One part, or two of a folder that a service has for them."""
        a, b = pathlib.PurePath(self.part(path)), pathlib.PurePath(owner)
        return a == b or (a.parent == b.parent and len(a.parts) > 3)

    def check_circles(self):
        done, trail = set(), []

        def walk(part):
            if part in trail:
                circle = trail[trail.index(part) :] + [part]
                steps = (
                    f"{a} {self.needs[a][b]} of {b}" for a, b in zip(circle, circle[1:])
                )
                self.say(part, "stands in a circle: " + "; ".join(steps))
                return
            if part in done:
                return
            trail.append(part)
            for target in sorted(self.needs[part]):
                walk(target)
            trail.pop()
            done.add(part)

        for part in sorted(self.needs):
            walk(part)

    def check_common(self):
        for part, targets in sorted(self.needs.items()):
            for target, why in sorted(targets.items()):
                if part.startswith("common/") and target.startswith("services/"):
                    self.say(part, f"common never needs a service: it {why} of {target}")

    def check_writers(self):
        owners = {}
        parts = {self.part(path) for path in self.files if path.suffix == ".c"}
        for path in self.files:
            names = {path.stem.replace("-", "_"), "dp_" + path.stem.replace("-", "_")}
            for struct in STRUCT.findall(path.read_text()):
                if struct in names and struct not in VALUES and self.part(path) in parts:
                    owners.setdefault(struct, set()).add(self.part(path))
        for path in self.files:
            code = without_comments(path.read_text())
            for body in re.split(r"^\}", code, flags=re.MULTILINE):
                for struct, variable in POINTER.findall(body):
                    mine = [
                        owner
                        for owner in sorted(owners.get(struct, ()))
                        if self.reaches(self.part(path), owner)
                    ]
                    if not mine or any(self.together(path, owner) for owner in mine):
                        continue
                    own = {path.stem, path.parent.name}
                    written = sorted(set(re.findall(WRITE % variable, body)) - own)
                    if written:
                        self.say(
                            self.name(path),
                            f"writes {', '.join(written)} of struct {struct}, which "
                            f"{' or '.join(mine)} alone writes",
                        )

    def check_readmes(self):
        for folder in sorted({path.parent for path in self.files}):
            owner = folder
            while not (owner / "README.md").exists():
                owner = owner.parent
            text = (owner / "README.md").read_text()
            for stem in sorted({path.stem for path in self.files if path.parent == folder}):
                shown = stem if owner == folder else f"{folder.relative_to(owner)}/{stem}"
                if not re.search(rf"`{re.escape(shown)}(\.[ch]|\.\[ch\])?`", text):
                    self.say(self.name(folder / stem), f"{self.name(owner)}/README.md does not list `{shown}`")

    def check_lengths(self):
        for path in self.files:
            lines = path.read_text().count("\n")
            most = MOST_LINES_OF_MAIN if path.name == "main.c" else MOST_LINES
            if lines > most and self.name(path) not in LONG:
                self.say(self.name(path), f"has {lines} lines, and at most {most} are allowed")


def main():
    objects = pathlib.Path(sys.argv[1])
    root = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent.parent)
    house = House(objects, root)
    house.read_includes()
    house.read_calls()
    house.check_circles()
    house.check_common()
    house.check_writers()
    house.check_readmes()
    house.check_lengths()
    print("\n".join(dict.fromkeys(house.findings)))
    return 1 if house.findings else 0


if __name__ == "__main__":
    sys.exit(main())
