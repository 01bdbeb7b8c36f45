"""GPIO chips made of files, as tests/harness/gpio_fake.c reads them."""

import os
import shutil


class Chip:
    """A chip of the folder that GPIO_FAKE names."""

    def __init__(self, root, label, lines=64):
        self.root, self.label, self.lines = root, label, lines
        self.folder = root / label
        self.appear()

    def appear(self):
        self.folder.mkdir(parents=True)
        (self.folder / "lines").write_text(str(self.lines))

    def vanish(self):
        """With all its lines; they can be made again when it appears."""
        gone = self.root / f".{self.label}"
        self.folder.rename(gone)
        shutil.rmtree(gone)

    def line(self, number):
        return Line(self, number)


class Line:
    """One line of a chip."""

    def __init__(self, chip, number):
        self.folder = chip.folder / str(number)
        self.name = f"{chip.label}:{number}"
        self.folder.mkdir(exist_ok=True)
        self._edges = self.folder / "edges"
        if not self._edges.exists():
            os.mkfifo(self._edges)
        self.level(0)

    def level(self, value):
        (self.folder / "level").write_text(str(value))

    def trace(self, text):
        """What a sensor on the line answers with, a transaction a read."""
        (self.folder / "trace").write_text(text)

    def edges(self, text):
        """Each `r` or `f` is an edge, each `.` one that got lost; the level follows the last one."""
        self.level(1 if text[-1] == "r" else 0)
        descriptor = os.open(self._edges, os.O_RDWR | os.O_NONBLOCK)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)

    def value(self):
        """What an output drives, or None before it does."""
        path = self.folder / "value"
        return path.read_text() if path.exists() else None

    def driven(self):
        """Every level that it was driven to, in order."""
        path = self.folder / "driven"
        return path.read_text() if path.exists() else ""

    def drive(self, level):
        """The level that somebody before us left it at."""
        (self.folder / "value").write_text(str(level))

    def stick(self):
        """It stays as it is, whatever drives it."""
        (self.folder / "stuck").touch()

    def take(self, consumer):
        """Somebody else uses the line; nobody when it is empty."""
        path = self.folder / "consumer"
        if consumer:
            path.write_text(consumer)
        else:
            path.unlink()
