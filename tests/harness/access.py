"""A broker's access.conf as compose/mosquitto has it, with ports and folders of the test's own."""

from pathlib import Path

from harness.service import BIN, ROOT

SERVICES, TLS, DEVICES_TLS, DEVICES = 1883, 8883, 8884, 1884
PLUGIN = "mosquitto_dynamic_security.so"


def dynamic_security():
    """Where Debian has it: a folder for each architecture."""
    found = sorted(Path("/usr/lib").glob(f"*/{PLUGIN}"))
    assert found, f"no {PLUGIN}: it comes with Debian's mosquitto"
    return found[0]


def access_lines(name, identity, host, ports):
    """The lines of compose/mosquitto/<name>/*.conf.

    identity  what is /mosquitto/identity in a container
    ports     {port in the file: port of the test}
    """
    lines = []
    files = sorted((ROOT / "compose/mosquitto" / name).glob("*.conf"))
    for line in "\n".join(file.read_text(encoding="utf-8") for file in files).splitlines():
        if line.startswith("listener "):
            line = f"listener {ports[int(line.split()[1])]} {host}"
        line = line.replace("/mosquitto/identity", str(identity))
        line = line.replace("/usr/lib/mosquitto/refusals.so", str(BIN.parent / "plugins/refusals.so"))
        lines.append(line.replace("/usr/lib/mosquitto/dynamic_security.so", str(dynamic_security())))
    return lines
