"""From a bundle to readings at the centre; a newer bundle over it."""

import re
import tarfile
import time
from collections import Counter

import pytest
from conftest import FOREIGN, PLATFORMS

from harness.database import Database
from harness.ledger import Ledger
from harness.wait import eventually

SENSOR = "bench=sim@42"
LARGEST = 8_000_000

# The sampler's record goes to a volume that its user may write.
LEDGER = """
services:
  sampler:
    environment: {LEDGER: /data/ledger}
    volumes: ["ledger:/data"]
volumes:
  ledger:
"""


def stored(site, node):
    """Lines of ingest's, one for each stored reading of that node."""
    lines = site.centre.logs(site.centre_folder, "ingest").splitlines()
    return [line for line in lines if line.startswith(f"Topic=/data/{node},")]


@pytest.mark.parametrize("engine", ["trixie", "containerd", "bookworm"])
def test_first_reading(site, new_board, engine):
    """Unpacked and started on an engine without an image: 26.1 with both its stores, and 20.10."""
    node = f"{engine}0"
    _, bundle = site.bundle(node)
    board = new_board(node, engine)
    assert board.run("docker", "images", "-q").stdout == ""
    begin = time.monotonic()
    folder = board.unpack(bundle)
    done = board.start(folder, SENSORS=SENSOR)
    started_s = time.monotonic() - begin
    eventually(lambda: stored(site, node), f"a reading of {node} is stored", 60)
    first_s = time.monotonic() - begin
    print(f"\n{node} (Docker {board.version}): first reading stored at most {first_s:.1f} s after tar -x; start took {started_s:.1f} s")
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1].startswith(f"{node} runs (version ")
    assert "mended" not in done.stdout
    assert first_s < 120

    # What is there is not loaded again, and nothing is made or started anew.
    before = board.running(folder)
    again = board.start(folder)
    assert again.stdout.splitlines() == done.stdout.splitlines()[-1:]
    assert board.running(folder) == before
    board.compose(folder, "down", "--volumes")


def test_newer_bundle(site, new_board, next_tag, tmp_path):
    """Unpacked over the older one: other containers, the same settings, no reading lost or twice."""
    node = "trixie0"
    board = new_board("update")
    folder = board.unpack(site.bundle(node)[1])
    settings = f"SENSORS={SENSOR}\nPERIOD_MS=20\nCOMPOSE_FILE=node.yml:ledger.yml\n"
    board.sh(f"printf '%s' '{LEDGER}' >ledger.yml; printf '{settings}' >settings.env", folder=folder)
    board.start(folder)
    old = board.images(folder)

    def accepted(run):
        ledger = Ledger(board.copy(folder, "sampler", "/data/ledger", tmp_path / "ledger"))
        return len(ledger.runs) > run and sum(key[0] == ledger.runs[run] for key in ledger.accepted) > 100

    eventually(lambda: accepted(0), "the older version has sent readings", 60)
    said, bundle = site.bundle(node, TAG=next_tag)
    assert "next" in said
    assert board.unpack(bundle) == folder
    done = board.start(folder)
    assert "loading images of version next" in done.stdout
    new = board.images(folder)
    assert new.keys() == old.keys() and set(new.values()).isdisjoint(old.values())
    assert {name.rsplit(":", 1)[1] for name in new.values()} == {"next"}
    eventually(lambda: accepted(1), "the newer version has sent readings with the older settings", 60)
    board.compose(folder, "stop", "sampler")
    ledger = Ledger(board.copy(folder, "sampler", "/data/ledger", tmp_path / "ledger"))
    assert len(ledger.runs) == 2

    first = min(ts for _, ts, _ in ledger.readings.values())

    def rows():
        """What the centre has of these two runs, taken while it writes nothing."""
        site.centre.compose(site.centre_folder, "pause", "ingest", "retention-pruner")
        try:
            for end in ("", "-wal"):
                site.centre.copy(site.centre_folder, "ingest", f"/data/broker.db{end}", tmp_path / f"broker.db{end}")
        finally:
            site.centre.compose(site.centre_folder, "unpause", "ingest", "retention-pruner")
        return Counter({row: n for row, n in Database(tmp_path / "broker.db").rows().items() if row[1] >= first})

    def all_stored():
        missing = ledger.rows() - rows()
        assert not missing, f"{len(missing)} of {len(ledger.readings)} sampled and missing"
        return True

    eventually(all_stored, "every reading of both versions is stored", 60, poll_s=1)
    assert rows() == ledger.rows(), "stored twice, or never sampled"
    print(f"\n{len(ledger.readings)} readings over the update, each stored once")
    board.compose(folder, "down", "--volumes")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_size(site, platform):
    """A node's bundle, whatever its platform: at most 8 MB, and each layer in it once."""
    node = FOREIGN[platform]
    said, bundle = site.bundle(node)
    assert f"({platform}, " in said
    print(f"\n{platform}: {bundle.stat().st_size / 1e6:.2f} MB")
    assert bundle.stat().st_size <= LARGEST
    with tarfile.open(bundle) as outer, tarfile.open(fileobj=outer.extractfile(f"{node}/images.tar")) as tar:
        names = tar.getnames()
        assert len(names) == len(set(names))
        config = next(tar.extractfile(n).read() for n in names if b'"rootfs"' in (tar.extractfile(n) or tar.extractfile("manifest.json")).read())
    assert re.search(rb'"architecture":"(\w+)"', config)[1].decode() == platform.split("/")[1]


def test_many_bundles(site):
    """The archive of a platform is made once: the second run packs all boards in seconds."""
    names = ["trixie0", "containerd0", "bookworm0", "other0"]
    site.bundle(*names)
    archive = next((site.folder.parent / f"{site.folder.name}-images").glob("node-*.tar"))
    before = archive.stat().st_ino
    begin = time.monotonic()
    site.bundle(*names)
    print(f"\n{(time.monotonic() - begin) / len(names):.2f} s a bundle")
    assert archive.stat().st_ino == before
