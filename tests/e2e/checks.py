"""What must hold for every container of every stack."""

SHELLS = {"sh", "bash", "dash", "ash", "zsh", "busybox", "toybox"}
RSS_LIMIT_KB = 6 * 1024
TLS_KB = 2 * 1024


def confined(container, devices=(), shell=False):
    """Not root, no capability to have or to get, a root that cannot be written, no shell."""
    status, mounts = container.proc
    uids = set(status["Uid"].split())
    assert "0" not in uids, f"{container} runs as root"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, f"{container}: {name} {status[name]}"
    assert status["NoNewPrivs"] == "1", f"{container} may gain privileges"
    assert status["Seccomp"] == "2", f"{container} runs without seccomp"

    root = next(fields for fields in mounts if fields[4] == "/")
    assert "ro" in root[5].split(","), f"{container}: its root can be written"

    host = container.state["HostConfig"]
    assert not host["Privileged"], container
    assert [d["PathInContainer"] for d in host["Devices"] or []] == list(devices), container
    names = {path.rsplit("/", 1)[-1] for path in container.programs()}
    assert shell or not names & SHELLS, f"{container} has a shell: {names & SHELLS}"


def limited(container):
    """What one container can take from its board has an end."""
    host = container.state["HostConfig"]
    assert host["Memory"] > 0 and host["PidsLimit"] > 0, container
    assert host["LogConfig"]["Config"].get("max-size"), container
    assert host["RestartPolicy"]["Name"] == "unless-stopped", container


def rss_kb(container):
    status, _mounts = container.proc
    return int(status["VmRSS"].split()[0])
