"""What cannot be built, pushed or pulled is said in one line, with what to do."""

import os
import subprocess

import pytest
from conftest import IMAGES, PLATFORMS
from stack import DOCKER, REPO, TAG, docker


def script(name, *arguments, **settings):
    """The last line that a script of ci/ says; it has to fail."""
    done = subprocess.run(
        [REPO / "ci" / name, *arguments],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize("name", ["images.sh", "push.sh", "sbom.sh"])
def test_a_platform_that_is_not_built(name):
    said = script(name, PLATFORMS="linux/riscv64")
    assert "\n" not in said
    assert all(word in said for word in ["linux/riscv64", "linux/amd64", "linux/arm64", "linux/arm/v7"])


@pytest.mark.parametrize("name", ["push.sh", "pull.sh"])
def test_no_registry_is_named(name):
    said = script(name, REGISTRY="")
    assert "\n" not in said and "REGISTRY=" in said


def test_a_registry_that_does_not_answer():
    """The images are built, from the cache; the last line says what failed."""
    settings = {"PLATFORMS": PLATFORMS[0], "ARCHIVES": "build/refused"}
    try:
        said = script("push.sh", REGISTRY="127.0.0.1:1/dewpoint", **settings).splitlines()
    finally:
        for name in IMAGES:
            docker("rmi", "-f", f"127.0.0.1:1/dewpoint/{name}:{TAG}")
    assert "connection refused" in " ".join(said[:-1])
    assert "127.0.0.1:1/dewpoint" in said[-1] and "docker login" in said[-1]


@pytest.mark.parametrize("arguments", [["push.sh"], ["images.sh", "--packed"]])
def test_an_engine_without_the_containerd_image_store(tmp_path, arguments):
    """Its name and where to switch it on, before anything is built."""
    docker = tmp_path / "docker"
    docker.write_text(
        f'#!/bin/sh\n[ "$1" != info ] || {{ echo "[[Backing Filesystem extfs]]"; exit 0; }}\nexec {DOCKER} "$@"\n',
        encoding="ascii",
    )
    docker.chmod(0o755)
    said = script(*arguments, DOCKER=str(docker))
    assert "\n" not in said
    assert "containerd-snapshotter" in said and "/etc/docker/daemon.json" in said
