"""A bundle as it is made and looked at: `make test-provision` starts boards from bundles."""

import hashlib
import os
import subprocess
import tarfile

import pytest
from fixtures import RUN
from stack import DEV_IMAGE, DOCKER, REGISTRY, REPO, docker, image

NODE = "orangepi0"
FOLDER = f"build/{RUN}-provision"


def script(path, *arguments):
    env = os.environ | {"DOCKER": DOCKER, "PROVISION_DIR": FOLDER, "ARCHIVES": f"{FOLDER}-images", "PROJECT": RUN}
    env |= {"BROKER": "192.0.2.1", "NODES": NODE, "PLATFORM": "", "VERSION": ""}
    done = subprocess.run(
        [REPO / path, *arguments], env=env, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def bundle():
    """The file, once for all tests here."""
    try:
        script("ci/provision.sh", "init")
        script("ci/bundle.sh", NODE)
        yield REPO / FOLDER / f"{NODE}.tar"
    finally:
        options = ["--rm", "-v", f"{REPO}/build:/build", "--entrypoint", "/usr/bin/rm"]
        docker("run", *options, image("provision"), "-rf", f"/{FOLDER}", f"/{FOLDER}-images", check=False)


def test_what_is_in_it(bundle):
    """First what looks whether it is whole, last the checksums of all; keys for their owners alone."""
    with tarfile.open(bundle) as tar:
        members = [m for m in tar.getmembers() if m.isfile()]
        names = [m.name.removeprefix(f"{NODE}/") for m in members]
        content = {n: tar.extractfile(m).read() for n, m in zip(names, members, strict=True)}
    assert names[0] == "start" and names[-1] == "manifest"
    lines = content["manifest"].decode().splitlines()
    listed = {name: digest for digest, name in (line.split("  ") for line in lines[1:-1])}
    rewritten = "identity/mosquitto/dynamic-security.json"
    assert set(listed) == set(names) - {"manifest", rewritten}
    assert all(hashlib.sha256(content[name]).hexdigest() == listed[name] for name in listed)
    for member in members:
        if "/identity/" in member.name:
            assert member.mode & 0o77 == 0, member.name
            assert member.uid == (1883 if "/mosquitto/" in member.name else 10001), member.name
    assert f"NODE_NAME={NODE}" in content["bundle.env"].decode()
    assert bundle.stat().st_mode & 0o77 == 0 and bundle.stat().st_size < 8_000_000
    assert len(content["README"].decode().splitlines()) == 5


def test_its_images_load(bundle, tmp_path):
    """Each under the version's tag, with what all share in the archive once."""
    with tarfile.open(bundle) as tar:
        (tmp_path / "images.tar").write_bytes(tar.extractfile(f"{NODE}/images.tar").read())
        env = tar.extractfile(f"{NODE}/bundle.env").read().decode()
    tag = next(line for line in env.splitlines() if line.startswith("TAG=")).removeprefix("TAG=")
    names = [f"{REGISTRY}/{name}:{tag}" for name in ("sampler", "publisher", "broker")]
    try:
        docker("load", "-i", tmp_path / "images.tar")
        label = '{{index .Config.Labels "org.opencontainers.image.version"}}'
        versions = {docker("image", "inspect", "-f", label, name).stdout.strip() for name in names}
        assert len(versions) == 1
        assert docker("run", "--rm", names[0], "--version").stdout.strip() == f"sampler {versions.pop()}"
    finally:
        for name in names:
            docker("rmi", "-f", name, check=False)
    with tarfile.open(tmp_path / "images.tar") as tar:
        blobs = [m for m in tar.getmembers() if m.isfile() and m.name.startswith("blobs/")]
    large = [m for m in blobs if m.size > 2_000_000]
    assert len(large) == 1, "the base layer is in it once"


@pytest.mark.parametrize(
    "damage, said",
    [
        (":", "Docker Engine does not answer"),
        ("truncate -s -1000 images.tar", "not as it was packed: images.tar"),
        ("rm identity/publisher/node.key", "not as it was packed: identity/publisher/node.key"),
        (": >identity/mosquitto/dynamic-security.json", "dynamic-security.json is missing or cut off"),
        ("sed -i '$d' manifest", "not a whole bundle"),
        ("setpriv --reuid 1000 ./start; exit", "must run as root"),
    ],
)
def test_what_start_refuses(bundle, damage, said):
    """One line, in a container that no engine answers in."""
    command = f"cd /tmp; tar -xf /bundle.tar; cd {NODE}; {damage}; ./start"
    options = ["--rm", "--user", "0:0", "-v", f"{bundle}:/bundle.tar:ro"]
    done = docker("run", *options, DEV_IMAGE, "sh", "-c", command, check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("start: ")
    assert said in done.stderr
