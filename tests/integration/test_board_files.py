"""Every file in boards/: it fits the schema, contradicts nothing, and the sampler reads it."""

import json
import re
import subprocess

import jsonschema
import pytest

from harness.service import ROOT, run_service

BOARDS = ROOT / "boards"
SCHEMA = json.loads((BOARDS / "schema.json").read_text())
FILES = sorted(path for path in BOARDS.glob("*.json") if path.name != "schema.json")
OVERLAYS = sorted((BOARDS / "overlays").glob("*.dts"))

# Wiring that several independent sources agree on: (board, pin, name, chip, line).
KNOWN = [
    ("raspberrypi-4b", 7, "GPIO4", "pinctrl-bcm2711", 4),
    ("raspberrypi-4b", 40, "GPIO21", "pinctrl-bcm2711", 21),
    ("raspberrypi-5", 7, "GPIO4", "pinctrl-rp1", 4),
    ("raspberrypi-3b-zero2w", 11, "GPIO17", "pinctrl-bcm2835", 17),
    ("orangepi-zero", 7, "PA6", "1c20800.pinctrl", 6),
    ("orangepi-zero", 8, "PG6", "1c20800.pinctrl", 198),
    ("orangepi-zero3", 11, "PC6", "300b000.pinctrl", 70),
]


def load(path):
    return json.loads(path.read_text())


def pins(board):
    return [pin for connector in board["connectors"] for pin in connector["pins"]]


def gpios(board):
    return [pin for pin in pins(board) if pin["type"] == "gpio"]


def test_there_are_boards():
    assert {path.stem for path in FILES} >= {name for name, *_ in KNOWN}
    assert len(OVERLAYS) >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fits_the_schema(path):
    jsonschema.Draft202012Validator(SCHEMA).validate(load(path))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_contradicts_nothing(path):
    """No pin, name or line twice; lines of chips that the file names; numbers without a hole."""
    board = load(path)
    lines = [(pin["chip"], pin["line"]) for pin in gpios(board)]
    assert len(set(lines)) == len(lines)
    names = [name for pin in gpios(board) for name in pin["names"]]
    assert len(set(names)) == len(names)
    assert {chip for chip, _ in lines} <= {chip["label"] for chip in board["chips"]}
    numbers = [pin["pin"] for pin in board["connectors"][0]["pins"]]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_lines_follow_from_names(path):
    """Allwinner: (bank - A) * 32 + pin on the main controller, the pin on that of bank L.
    Raspberry Pi: the number of GPIOn."""
    for pin in gpios(load(path)):
        bank = re.fullmatch(r"P([A-L])(\d+)", pin["names"][0])
        if bank and bank[1] == "L":
            assert pin["line"] == int(bank[2]), pin
        elif bank:
            assert pin["line"] == (ord(bank[1]) - ord("A")) * 32 + int(bank[2]), pin
        else:
            assert f"GPIO{pin['line']}" == pin["names"][0], pin


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known[0]}-{known[1]}")
def test_known_wiring(known):
    board, number, name, chip, line = known
    pin = load(BOARDS / f"{board}.json")["connectors"][0]["pins"][number - 1]
    assert (pin["pin"], pin["names"][0], pin["chip"], pin["line"]) == (number, name, chip, line)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_sampler_draws_it(path):
    """Every pin is in the picture, with its number and first name."""
    done = run_service("sampler", "--board", path.stem, BOARDS_DIR=BOARDS)
    assert done.returncode == 0, done.stderr
    board = load(path)
    assert done.stdout.startswith(f"{board['name']} (BOARD={path.stem})\n")
    for pin in board["connectors"][0]["pins"]:
        shown = rf"\b{pin['names'][0]}\b.* {pin['pin']} \|" if pin["pin"] % 2 else rf"\| {pin['pin']} +{pin['names'][0]}\b"
        assert re.search(shown, done.stdout), pin


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.stem)
def test_overlays(path, tmp_path):
    """They compile without a warning, and merged into a tree set the property on its pio."""
    tree = tmp_path / "board.dts"
    tree.write_text('/dts-v1/; / { soc { pio: pinctrl@1c20800 { compatible = "x"; }; }; };')
    compile_ = ["dtc", "-@", "-I", "dts", "-O", "dtb", "-o"]
    for source, binary in ((tree, "board.dtb"), (path, "overlay.dtbo")):
        done = subprocess.run(
            [*compile_, tmp_path / binary, source], capture_output=True, text=True, check=True
        )
        assert source == tree or done.stderr == "", done.stderr
    merged = tmp_path / "merged.dtb"
    subprocess.run(
        ["fdtoverlay", "-i", tmp_path / "board.dtb", "-o", merged, tmp_path / "overlay.dtbo"],
        check=True,
    )
    cells = subprocess.run(
        ["fdtget", merged, "/soc/pinctrl@1c20800", "input-debounce"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert cells == ["1"] * {"sun8i-h3": 2, "sun50i-h616": 8}[path.stem.removesuffix("-input-debounce")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_filter_has_its_cure(path):
    """A board whose chip filters edges names an overlay that is here."""
    board = load(path)
    allwinner = any(chip["label"].endswith(".pinctrl") for chip in board["chips"])
    assert allwinner == ("interrupt_filter" in board)
    if allwinner:
        assert (BOARDS / board["interrupt_filter"]["overlay"]).is_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_readme_shows_it(path):
    """boards/README.md has the picture that `sampler --board` draws."""
    done = run_service("sampler", "--board", path.stem, BOARDS_DIR=BOARDS)
    picture = "".join(f"    {line}".rstrip() + "\n" for line in done.stdout.splitlines())
    assert picture in (BOARDS / "README.md").read_text()
