"""What the registry has, pulled platform by platform. Run by ci/test-images.sh."""

import io
import json
import os
import sys
import tarfile
from functools import cached_property
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from fixtures import new_stack, pytest_runtest_makereport  # noqa: E402, F401
from stack import docker, image  # noqa: E402

PLATFORMS = os.environ.get("PLATFORMS", "").split(",")
SERVICES = ["ingest", "ingest-postgres", "publisher", "retention-pruner", "retention-pruner-postgres", "sampler"]
IMAGES = [*SERVICES, "broker", "tool"]


def pytest_sessionstart():
    if PLATFORMS == [""]:
        pytest.exit("nothing has been pushed: run these with `make test-images`", returncode=2)


class Pulled:
    """An image of one platform, as it came from the registry."""

    def __init__(self, name, platform):
        self.name = name
        self.platform = platform

    def run(self, *arguments, check=True, **settings):
        options = ["--rm", "--platform", self.platform]
        options += [word for key, value in settings.items() for word in ("-e", f"{key}={value}")]
        return docker("run", *options, image(self.name), *arguments, check=check)

    @cached_property
    def config(self):
        raw = docker("buildx", "imagetools", "inspect", image(self.name), "--format", "{{json .Image}}")
        return json.loads(raw.stdout)[self.platform]

    @cached_property
    def files(self):
        """{path: (member of the archive, content or None)}, of a container never started."""
        made = docker("create", "--platform", self.platform, image(self.name), "-").stdout.strip()
        try:
            archive = docker("export", made, binary=True).stdout
        finally:
            docker("rm", made)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            return {
                "/" + member.name: (member, tar.extractfile(member).read() if member.isfile() else None)
                for member in tar.getmembers()
            }


@pytest.fixture(scope="session")
def pulled():
    """pulled(name, platform), each pulled by name once."""
    images = {}

    def get(name, platform):
        if (name, platform) not in images:
            docker("pull", "-q", "--platform", platform, image(name))
            images[name, platform] = Pulled(name, platform)
        return images[name, platform]

    return get
