"""A centre and boards that have never seen an image, each with an engine of its own."""

import os
import secrets
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from board import Board, script  # noqa: E402
from stack import REGISTRY, REPO, docker, image  # noqa: E402

RUN = f"dewpoint-provision-{secrets.token_hex(3)}"
FOLDER = f"build/{RUN}"
# One board for each engine, and boards of other platforms, which are packed only.
NODES = {"trixie0": "", "containerd0": "", "bookworm0": "", "other0": ""}
FOREIGN = {"linux/amd64": "pc0", "linux/arm64": "cellar0", "linux/arm/v7": "attic0"}
PLATFORMS = [p for p in os.environ.get("PLATFORMS", "").split(",") if p]


def pytest_sessionstart():
    if not PLATFORMS:
        pytest.exit("the engine's image is not there: run these with `make test-provision`", returncode=2)


@pytest.fixture(scope="session")
def new_board():
    """new_board(name, engine): removed at the end, with its images."""
    boards = []
    docker("network", "create", RUN)

    def make(name, engine="trixie"):
        boards.append(name := f"{RUN}-{name}")
        made = Board(name, RUN, engine)
        return made

    try:
        yield make
    finally:
        for name in boards:
            docker("rm", "-fv", name, check=False)
        docker("network", "rm", RUN, check=False)


class Site:
    """A folder of identities, the bundles made of it, and the centre's board."""

    def __init__(self, centre):
        self.centre = centre
        self.folder = Path(REPO / FOLDER)

    def bundle(self, *names, **env):
        """Make bundles; what was said, and the file of the first."""
        said = script("ci/bundle.sh", *names, PROVISION_DIR=FOLDER, ARCHIVES=f"{FOLDER}-images", **env)
        return said, self.folder / f"{names[0]}.tar"


@pytest.fixture(scope="session")
def site(new_board):
    """The centre's bundle has been started, on a board of its own; nobody sends anything yet."""
    centre = new_board("centre")
    foreign = " ".join(f"{FOREIGN[p]}:{p.removeprefix('linux/')}" for p in PLATFORMS)
    try:
        nodes = " ".join(NODES) + " " + foreign
        script("ci/provision.sh", "init", PROVISION_DIR=FOLDER, PROJECT=RUN, BROKER=centre.address, NODES=nodes)
        made = Site(centre)
        made.centre_folder = centre.unpack(made.bundle("broker")[1])
        centre.sh("echo PRINT_READINGS=1 >settings.env", folder=made.centre_folder)
        centre.start(made.centre_folder)
        yield made
    finally:
        # Most of it belongs to the users of the services.
        options = ["--rm", "-v", f"{REPO}/build:/build", "--entrypoint", "/usr/bin/rm"]
        docker("run", *options, image("provision"), "-rf", f"/{FOLDER}", f"/{FOLDER}-images", check=False)


@pytest.fixture(scope="session")
def next_tag():
    """The same images as a version to come."""
    names = ["sampler", "publisher", "broker"]
    for name in names:
        label = "org.opencontainers.image.version=next"
        made = docker("create", image(name), "-").stdout.strip()
        docker("commit", "--change", f"LABEL {label}", "--change", "CMD []", made, f"{REGISTRY}/{name}:{RUN}")
        docker("rm", made)
    docker("tag", image("provision"), f"{REGISTRY}/provision:{RUN}")
    yield RUN
    for name in [*names, "provision"]:
        docker("rmi", "-f", f"{REGISTRY}/{name}:{RUN}", check=False)
