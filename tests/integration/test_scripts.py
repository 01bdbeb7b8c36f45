"""Parts of the scripts in ci/ that no other test reaches."""

import os
import subprocess

from harness.service import ROOT


def shell(script, *arguments, **settings):
    done = subprocess.run(
        ["sh", "-c", script, "sh", *arguments],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


def attempts(tmp_path, says, well_at):
    """How often a command is tried that says this and succeeds at that attempt."""
    count = tmp_path / "count"
    count.write_text("", encoding="utf-8")
    script = (
        '. ci/lib.sh; try() { echo x >>"$1"; echo "$2"; [ "$(wc -l <"$1")" -ge "$3" ]; }; '
        'again "$4" try "$1" "$2" "$3"'
    )
    arguments = [str(count), says, str(well_at), str(tmp_path / "log")]
    code, said = shell(script, *arguments, AGAIN_WAIT_S="0")
    return code, len(count.read_text(encoding="utf-8").split()), said


def test_a_registry_that_fails_once_is_asked_again(tmp_path):
    code, n, said = attempts(tmp_path, "500 Internal Server Error", 2)
    assert (code, n) == (0, 2)
    assert "trying again" in said and "500" in said


def test_a_registry_that_goes_on_failing_is_given_up(tmp_path):
    code, n, _ = attempts(tmp_path, "500 Internal Server Error", 99)
    assert (code, n) == (1, 3)


def test_what_is_not_allowed_is_not_asked_again(tmp_path):
    code, n, _ = attempts(tmp_path, "denied: requested access to the resource is denied", 99)
    assert (code, n) == (1, 1)


def bake(tmp_path, says, well_at):
    """How often the images are built with an engine that says this and succeeds at that attempt."""
    engine, count = tmp_path / "docker", tmp_path / "count"
    engine.write_text(
        f'#!/bin/sh\necho "$@" >>{count}; echo "{says}"; [ "$(wc -l <{count})" -ge {well_at} ]\n', encoding="utf-8"
    )
    engine.chmod(0o755)
    known = {"VERSION": "1", "REVISION": "1", "SOURCE_DATE_EPOCH": "1", "SOURCE": "s"}
    code, _ = shell("ci/images.sh 2>&1", DOCKER=str(engine), DOCKER_HOST="none", PLATFORMS="linux/amd64", **known)
    calls = count.read_text(encoding="utf-8").splitlines()
    assert all(call.startswith("buildx bake") for call in calls), calls
    return code, len(calls)


def test_a_layer_that_the_engine_has_tidied_away_is_built_again(tmp_path):
    lost = "failed to stat: parent snapshot sha256:12 does not exist: not found"
    assert bake(tmp_path, lost, 2) == (0, 2)


def test_an_engine_that_loses_layers_again_is_given_up(tmp_path):
    lost = "failed to stat: parent snapshot sha256:12 does not exist: not found"
    assert bake(tmp_path, lost, 99) == (1, 2)


def test_what_cannot_be_built_is_built_once(tmp_path):
    assert bake(tmp_path, "cc: error: no such file", 99) == (1, 1)


def uninstall(tmp_path, systemctl):
    """Remove an installation of one unit, with this in place of systemctl."""
    unit = tmp_path / "usr/lib/systemd/system/dewpoint-sampler.service"
    unit.parent.mkdir(parents=True)
    unit.touch()
    stub = tmp_path / "bin/systemctl"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/calls\n{systemctl}\n', encoding="utf-8")
    stub.chmod(0o755)
    root = tmp_path / "bin/id"
    root.write_text("#!/bin/sh\necho 0\n", encoding="utf-8")
    root.chmod(0o755)
    code, _ = shell(
        "ci/native/install.sh --remove",
        PATH=f"{stub.parent}:{os.environ['PATH']}",
        SYSTEMD_RUNS=str(tmp_path),
        PREFIX=str(tmp_path / "usr"),
    )
    return code, unit, (tmp_path / "calls").read_text(encoding="utf-8").splitlines()


def test_uninstall_stops_what_runs(tmp_path):
    code, unit, calls = uninstall(tmp_path, "true")
    assert code == 0 and not unit.exists()
    assert calls == ["disable --now --quiet dewpoint-sampler.service", "daemon-reload"]


def test_uninstall_removes_nothing_that_cannot_be_stopped(tmp_path):
    code, unit, _ = uninstall(tmp_path, "false")
    assert code == 1 and unit.exists()
