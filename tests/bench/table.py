"""Figures for people."""


class Row:
    """One figure, and what it must reach if anything: at_most or at_least.

    When a decisive one does not, the benchmark has failed.
    """

    def __init__(self, what, value, unit, at_most=None, at_least=None, decisive=False):
        self.what = what
        self.value = value
        self.unit = unit
        self.at_most = at_most
        self.at_least = at_least
        self.decisive = decisive

    def met(self):
        if self.at_most is not None:
            return self.value <= self.at_most
        return self.at_least is None or self.value >= self.at_least

    def required(self):
        if self.at_most is not None:
            return f"at most {number(self.at_most)}"
        return f"at least {number(self.at_least)}" if self.at_least is not None else ""


def number(value):
    """Three digits that mean something."""
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def show(rows):
    """Print them in columns; what is not met says so."""
    width = max(len(row.what) for row in rows)
    for row in rows:
        line = f"  {row.what:<{width}}  {number(row.value):>10} {row.unit:<10} {row.required()}"
        print(line.rstrip() + ("" if row.met() else "  NOT MET"), flush=True)


def grid(header, lines):
    """Print cells in columns, each as wide as its widest."""
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]
    for line in [header, *lines]:
        print("    " + "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths)))
