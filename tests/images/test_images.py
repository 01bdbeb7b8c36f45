"""Each image of each platform, by itself."""

import hashlib
import json
import os
import subprocess

import pytest
from checks import SHELLS
from conftest import IMAGES, PLATFORMS, SERVICES
from elf import MACHINES, Elf
from stack import REPO, docker, image

UIDS = {"broker": "1883:1883"}
# What a board's owner would be refused, by the file it is about.
LIMIT_MB = {"sampler": 5, "publisher": 5.5, "ingest": 5.5, "retention-pruner": 5.5, "broker": 5.6}
STACK_LIMIT_MB = {"node stack": 9, "broker stack": 10}


@pytest.fixture(params=[(n, p) for p in PLATFORMS for n in IMAGES], ids=lambda each: "-".join(each))
def each(request, pulled):
    return pulled(*request.param)


def elf_files(each):
    """{path: Elf} of all programs and libraries."""
    return {p: Elf(data) for p, (_, data) in each.files.items() if data and data.startswith(b"\x7fELF")}


def test_labels_and_user(each):
    """Who runs it, and what the image says of itself."""
    config = each.config["config"]
    assert config["User"] == UIDS.get(each.name, "10001:10001")
    labels = {k.removeprefix("org.opencontainers.image."): v for k, v in config["Labels"].items()}
    assert {"title", "version", "revision", "licenses"} <= set(labels)
    assert len(labels["revision"]) == 40 and labels["version"] != "unknown"


def test_every_program_finds_its_libraries(each):
    """And all are for the platform that the image says it is for."""
    files = elf_files(each)
    assert files
    names = {path.rsplit("/", 1)[-1] for path in files}
    for path, elf in files.items():
        assert elf.machine == MACHINES[each.platform], path
        assert elf.interpreter() in (None, *files), path
        assert set(elf.needed()) <= names, f"{path} needs {set(elf.needed()) - names}"


def test_the_broker_has_its_plugins(each):
    """At one path, whatever the architecture's own folder is."""
    plugins = {path for path in elf_files(each) if path.startswith("/usr/lib/mosquitto/")}
    names = {"dynamic_security", "refusals"} if each.name == "broker" else set()
    assert plugins == {f"/usr/lib/mosquitto/{name}.so" for name in names}


def test_no_shell(each):
    names = {path.rsplit("/", 1)[-1] for path, (member, _) in each.files.items() if not member.isdir()}
    assert not names & SHELLS


def test_every_file_is_accounted_for(each):
    """The image's SPDX document has each file, with its checksum, in one package."""
    name = f"{each.name}_{each.platform.replace('/', '_')}.spdx.json"
    document = json.loads((REPO / "build/sbom" / name).read_text(encoding="utf-8"))
    listed = {
        entry["fileName"][1:]: {c["algorithm"]: c["checksumValue"] for c in entry["checksums"]}["SHA256"]
        for entry in document["files"]
    }
    # What the engine lays over every container is empty.
    found = {p: hashlib.sha256(data).hexdigest() for p, (_, data) in each.files.items() if data}
    assert found == listed
    owners = [r["relatedSpdxElement"] for r in document["relationships"] if r["relationshipType"] == "CONTAINS"]
    assert all(owners.count(entry["SPDXID"]) == 1 for entry in document["files"])
    packages = {package["name"]: package for package in document["packages"]}
    assert {"libc6", "ca-certificates", "libssl3t64"} <= set(packages)
    known = {info["licenseId"] for info in document["hasExtractedLicensingInfos"]}
    for package in packages.values():
        words = package["licenseDeclared"].split(" AND ")
        assert all(word in known for word in words if word.startswith("LicenseRef-")), package["name"]


def test_help_and_version(each):
    """It runs on its platform, under emulation where this is another."""
    if each.name in SERVICES:
        assert f"Usage: {each.name}" in each.run("--help").stdout
        version = each.config["config"]["Labels"]["org.opencontainers.image.version"]
        assert each.run("--version").stdout.split() == [each.name, version]
        settings = {"NODE_NAME": "pi", "UPSTREAM_URL": "mqtt://192.0.2.1"} if each.name == "publisher" else {}
        # In this container, none runs.
        assert each.run("--healthcheck", check=False, **settings).returncode == 1
    elif each.name == "tool":
        assert each.run(":memory:", "SELECT 6 * 7;").stdout == "42\n"
    else:
        said = each.run("/usr/bin/mosquitto_sub", "--help", check=False)
        assert "mosquitto_sub version" in said.stdout + said.stderr


def test_sizes():
    """What a board pulls is as small as it was promised, layers of a stack counted once."""
    table = json.loads((REPO / "build/images/sizes.json").read_text(encoding="utf-8"))
    assert {row["platform"] for row in table} == set(PLATFORMS)
    for row in table:
        limit = (LIMIT_MB | STACK_LIMIT_MB).get(row["image"])
        if limit is not None:
            assert row["bytes"] <= limit * 1e6, row


def test_the_registry_has_each_platform_and_how_it_was_built():
    """One name for all platforms, with a statement of provenance for each."""
    for name in IMAGES:
        raw = json.loads(docker("buildx", "imagetools", "inspect", "--raw", image(name)).stdout)
        platforms, attested = {}, set()
        for manifest in raw["manifests"]:
            about = manifest.get("annotations", {}).get("vnd.docker.reference.digest")
            if about:
                attested.add(about)
            else:
                words = [manifest["platform"].get(k) for k in ("os", "architecture", "variant")]
                platforms["/".join(filter(None, words))] = manifest["digest"]
        assert set(platforms) == set(PLATFORMS), name
        assert attested == set(platforms.values()), name
        inspect = ["buildx", "imagetools", "inspect", image(name), "--format", "{{json .Provenance}}"]
        provenance = json.loads(docker(*inspect).stdout)
        assert all("buildType" in provenance[platform]["SLSA"] for platform in PLATFORMS), name


def test_a_board_that_there_is_no_image_for():
    """It is told which there are."""
    env = os.environ | {"PLATFORM": "linux/riscv64"}
    done = subprocess.run([REPO / "ci/pull.sh"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert all(platform in done.stderr.splitlines()[-1] for platform in ["riscv64", *PLATFORMS])
