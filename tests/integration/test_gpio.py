"""Sensors on GPIO lines, over a chip made of files: what is read, and what is said when not."""

import json
from pathlib import Path

import pytest

from harness import Ledger, eventually
from harness.gpio import Chip
from harness.service import ROOT

DATA = Path(__file__).resolve().parents[1] / "data"
TRUTH = {e["file"]: e["transactions"] for e in json.loads((DATA / "truth.json").read_text())["files"]}
CAPTURE = "am2302_1mhz_3samples.csv"


@pytest.fixture
def chip(tmp_path):
    return Chip(tmp_path / "gpio", "pinctrl-test")


def values(path):
    """[(sensor, {quantity: value})] of a ledger's readings, in order."""
    return [(sensor, values) for sensor, _, values in Ledger(path).readings.values()]


def sampler(lab, local, chip, sensors, **settings):
    """A sampler on that chip."""
    return lab.sampler(local, sensors, GPIO_FAKE=chip.root, **{"PERIOD_MS": 50, **settings})


@pytest.mark.parametrize("file", sorted(TRUTH))
def test_captures_through_the_line(lab, local, chip, file):
    """What a sensor says on the line is what is sampled; the first, stale answer is not."""
    line = chip.line(4)
    line.trace((DATA / file).read_text())
    driver = "dht11" if file.startswith("dht11") else "dht22"
    started = sampler(lab, local, chip, f"climate={driver}@{line.name}")
    truth = [{"temperature": t["temperature"], "humidity": t["humidity"]} for t in TRUTH[file]]
    eventually(lambda: len(values(started.ledger_path)) >= 1, "a reading")
    expected = truth[1 % len(truth)]
    assert values(started.ledger_path)[0] == ("climate", expected)


def test_a_sensor_that_does_not_answer(lab, local, chip):
    """No value is made up; the cause and what to do are said, and it comes back by itself."""
    line = chip.line(4)
    started = sampler(lab, local, chip, f"climate=dht11@{line.name},b=sim@1")
    eventually(lambda: "cause=no-response" in started.stderr(), "the cause is named")
    assert "pull-up" in started.stderr()
    eventually(lambda: len(values(started.ledger_path)) > 10, "the other sensor goes on")
    assert {name for name, _ in values(started.ledger_path)} == {"b"}
    chip.vanish()
    eventually(lambda: "cause=no-chip" in started.stderr(), "the chip is missed", 20)
    chip.appear()
    line = chip.line(4)
    line.trace((DATA / "dht11_1mhz.csv").read_text())
    eventually(
        lambda: "climate" in {name for name, _ in values(started.ledger_path)}, "it is read", 20
    )


def test_a_line_in_use(lab, local, chip):
    """Who uses it is named, and once it is free it is taken."""
    line = chip.line(4)
    line.trace((DATA / "dht11_1mhz.csv").read_text())
    line.take("spi0 CS0")
    started = sampler(lab, local, chip, f"climate=dht11@{line.name}")
    eventually(lambda: "in use by spi0 CS0" in started.stderr(), "the consumer is named")
    line.take("")
    eventually(lambda: values(started.ledger_path), "it is read", 20)


def cut_short(trace):
    """A capture as a chip shows it that swallows about half of the falls."""
    head, *rows = trace.splitlines()
    return "\n".join([head] + [row for i, row in enumerate(rows) if i < 2 or i % 4 in (2, 3)]) + "\n"


def test_a_chip_that_filters_short_pulses(lab, local, tmp_path):
    """About 20 edges on an Allwinner chip: the overlay that cures it is named."""
    chip = Chip(tmp_path / "gpio", "300b000.pinctrl")
    line = chip.line(70)
    line.trace(cut_short((DATA / "am2302_1mhz.csv").read_text()))
    started = sampler(lab, local, chip, "climate=dht22@PC6", BOARDS_DIR=ROOT / "boards")
    cure = "&pio { input-debounce = <1 1 1 1 1 1 1 1>; }; (boards/overlays/sun50i-h616"
    eventually(lambda: cure in started.stderr(), "the cure is told", 20)
    assert values(started.ledger_path) == []


def test_levels(lab, local, chip):
    """mode=level: what the line is, once a period; active-low swaps it."""
    line, other = chip.line(17), chip.line(18)
    started = sampler(lab, local, chip, f"door=gpio-in@{line.name},low=gpio-in@{other.name},active-low=1")

    def seen(name, level):
        return (name, {"level": level}) in values(started.ledger_path)

    eventually(lambda: seen("door", 0) and seen("low", 1), "it is low")
    line.level(1)
    other.level(1)
    eventually(lambda: seen("door", 1) and seen("low", 0), "it is high")


def test_edges_are_readings(lab, local, chip):
    """mode=edges: every change is a reading, without waiting for the period."""
    line = chip.line(17)
    started = sampler(lab, local, chip, f"door=gpio-in@{line.name},mode=edges", PERIOD_MS=3600000)
    eventually(lambda: values(started.ledger_path) == [("door", {"level": 0})], "the first level")
    line.edges("rfr")
    levels = [0, 1, 0, 1]
    eventually(
        lambda: [v["level"] for _, v in values(started.ledger_path)] == levels, "all three edges"
    )


def test_edges_that_got_lost_are_counted_and_said(lab, local, chip):
    """What the kernel dropped is no reading; it counts as failed, and the log says what to do."""
    line = chip.line(17)
    client = lab.client(local)
    client.subscribe("local/stats/#")
    started = sampler(
        lab, local, chip, f"door=gpio-in@{line.name},mode=edges", PERIOD_MS=3600000, STATS_PERIOD_S=1
    )
    eventually(lambda: values(started.ledger_path) == [("door", {"level": 0})], "the first level")
    line.edges("rf" + "." * 6 + "r")
    levels = [0, 1, 0, 1]
    eventually(
        lambda: [v["level"] for _, v in values(started.ledger_path)] == levels, "those that came"
    )
    assert "sensor=door missed=6" in started.stderr() and "debounce-ms=" in started.stderr()
    line.edges("f...r")
    eventually(lambda: len(values(started.ledger_path)) == 6, "two more")
    # Said again only once they are twice as many.
    assert "missed=9" not in started.stderr()

    def failed():
        return [json.loads(m.payload)["failed"] for m in client.messages()]

    eventually(lambda: failed() and failed()[-1] == 9, "all nine are counted")


def test_pulses_that_got_lost_are_counted(lab, local, chip):
    """mode=count needs no edge to be taken: their numbers tell how many there were."""
    line = chip.line(17)
    started = sampler(lab, local, chip, f"rain=gpio-in@{line.name},mode=count")
    eventually(lambda: ("rain", {"count": 0}) in values(started.ledger_path), "it starts at 0")
    line.edges("r" + "." * 40 + "r")
    eventually(lambda: ("rain", {"count": 42}) in values(started.ledger_path), "all 42")


def test_pulses_are_counted(lab, local, chip):
    """mode=count: rising edges since the start, many at once included."""
    line = chip.line(17)
    started = sampler(lab, local, chip, f"rain=gpio-in@{line.name},mode=count")
    eventually(lambda: ("rain", {"count": 0}) in values(started.ledger_path), "it starts at 0")
    line.edges("rf" * 100)
    eventually(lambda: ("rain", {"count": 100}) in values(started.ledger_path), "100 pulses")
    assert max(v["count"] for _, v in values(started.ledger_path)) == 100


def test_periods_and_corrections(lab, local, chip):
    """A sensor's own period, and offsets and scales of its values."""
    first, second = chip.line(1), chip.line(2)
    first.level(1)
    started = sampler(
        lab,
        local,
        chip,
        f"slow=gpio-in@{first.name}/1h,offset:level=-0.25,scale:level=3,fast=gpio-in@{second.name}",
    )

    def count(name):
        return sum(sensor == name for sensor, _ in values(started.ledger_path))

    eventually(lambda: count("fast") > 20, "the fast one goes on")
    assert count("slow") == 1
    assert ("slow", {"level": 2.75}) in values(started.ledger_path)
