"""`sampler --probe`, the first command a maker runs."""

from pathlib import Path

import pytest

from harness.gpio import Chip
from harness.service import ROOT, run_service

DATA = Path(__file__).resolve().parents[1] / "data"


@pytest.fixture
def chip(tmp_path):
    return Chip(tmp_path / "gpio", "pinctrl-bcm2711")


def probe(chip, **settings):
    """(exit code, its lines)."""
    done = run_service("sampler", "--probe", GPIO_FAKE=chip.root, BOARDS_DIR=ROOT / "boards", **settings)
    return done.returncode, done.stdout.splitlines()


def test_all_is_well(chip):
    """Chips with the lines in use, the board, outputs untouched, and what each sensor said."""
    chip.line(4).trace((DATA / "am2302_1mhz.csv").read_text())
    chip.line(18).take("led0")
    fan = chip.line(17)
    code, lines = probe(chip, SENSORS="climate=dht22@7,n=sim@3", OUTPUTS="fan=gpio@11")
    assert code == 0, lines
    assert lines[0] == "GPIO chips:"
    assert "pinctrl-bcm2711" in lines[1] and "64 lines" in lines[1]
    assert lines[2].split() == ["18", "led0"]
    assert lines[3] == "Board: Raspberry Pi 4 Model B"
    assert lines[4] == "Outputs:" and lines[5].split()[0] == "fan"
    assert fan.driven() == ""
    said = {line.split()[0]: line for line in lines[7:]}
    assert lines[6] == "Sensors:" and set(said) == {"climate", "n"}
    assert "temperature=23.8 Cel  humidity=72.1 %RH" in said["climate"] and said["climate"].endswith("ok")


def test_a_sensor_that_does_not_answer(chip):
    """Exit 1, the cause and what to do."""
    chip.line(4)
    code, lines = probe(chip, SENSORS="climate=dht11@GPIO4")
    assert code == 1
    assert "no-response" in lines[-1] and "pull-up" in lines[-1]


def test_a_pin_that_is_none(chip):
    """Exit 78 and what the pin is; the other sensor is read all the same."""
    code, lines = probe(chip, SENSORS="climate=dht22@2,n=sim@3")
    assert code == 78
    said = {line.split()[0]: line for line in lines}
    assert "pin 2 of raspberrypi-4b is power, 5V" in said["climate"]
    assert said["n"].endswith("ok")


def test_nothing_here(chip):
    """No chip, no sensor: what to pass on to the container is said."""
    chip.vanish()
    code, lines = probe(chip)
    assert code == 0
    assert any("compose/gpio.yml" in line for line in lines)
    assert any("Board: not known" in line for line in lines)
    assert lines[-1] == "Sensors: none, SENSORS is not set"
