"""`make provision` and what follows, at a broker that runs: who is new comes in, who is revoked is out,
what cannot be done is one line with what to do."""

import socket

import pytest
from stack import Tools

from harness.wait import eventually

NODES = ["cellar", "attic"]
# Of all files.
SUMS = "find . -type f | sort | xargs sha256sum"


def free_port():
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="module")
def centre(new_stack, new_identities):
    identities = new_identities("provision", broker="mosquitto", nodes=NODES)
    stack = new_stack("provision", "broker.yml", MQTTS_PORT=free_port(), **identities.broker())
    stack.up()
    stack.all_healthy()
    stack.identities = identities
    mount = ["-v", f"{identities.path}:/identities:ro"]
    stack.tools = Tools(*mount, "--network", f"{stack.project}_default")
    try:
        yield stack
    finally:
        stack.tools.remove()


def provision(centre, *arguments, check=True, **settings):
    return centre.identities.run(*arguments, project=centre.project, check=check, **settings)


def refusal(centre, *arguments, **settings):
    """What it says when it refuses: one line."""
    result = provision(centre, *arguments, check=False, **settings)
    assert result.returncode != 0, arguments
    [line] = result.stderr.splitlines()
    return line


def publish(centre, folder, topic, *more, tool="mosquitto_pub"):
    """mosquitto's own tool with the certificate of a folder, inside the stack's network."""
    name = "node" if folder.startswith("nodes") else "client"
    files = f"/identities/{folder}"
    words = ["-h", "mosquitto", "-p", "8883", "-V", "5", "-q", "1", "-t", topic, *more]
    words += ["--cafile", f"{files}/ca.crt", "--cert", f"{files}/{name}.crt", "--key", f"{files}/{name}.key"]
    return centre.tools.run(tool, *words, check=False)


def refused(sent):
    """At the door, or for want of a right, which mosquitto_pub only says."""
    return sent.returncode != 0 or "ot authori" in sent.stderr


def stored(centre, topic):
    return [row[0] for row in centre.query(f"SELECT temp FROM dht WHERE topic = '{topic}' ORDER BY id")]


def arrives(centre, folder, topic, value):
    sent = publish(centre, folder, topic, "-m", f'{{"temperature":{value}}}')
    assert not refused(sent), sent.stderr
    eventually(lambda: str(value) in stored(centre, topic), f"{value} of {folder} is stored", 30)


def is_out(centre, folder, topic):
    sent = publish(centre, folder, topic, "-m", '{"temperature":99.5}')
    return refused(sent) and "99.5" not in stored(centre, topic)


def test_a_board_more_comes_in_without_a_restart(centre):
    before = centre.container("mosquitto").state["State"]["StartedAt"]
    provision(centre, "node", "barn")
    arrives(centre, "nodes/barn/publisher", "/data/barn", 20.5)
    assert centre.container("mosquitto").state["State"]["StartedAt"] == before
    centre.compose("restart", "mosquitto")
    arrives(centre, "nodes/barn/publisher", "/data/barn", 21.5)


def test_who_is_revoked_is_out_also_after_a_restart(centre):
    arrives(centre, "nodes/attic/publisher", "/data/attic", 22.5)
    provision(centre, "revoke", "attic")
    assert is_out(centre, "nodes/attic/publisher", "/data/attic")
    arrives(centre, "nodes/cellar/publisher", "/data/cellar", 23.5)
    centre.compose("restart", "mosquitto")
    centre.all_healthy()
    assert is_out(centre, "nodes/attic/publisher", "/data/attic")
    # Once more is what to do when the broker could not be told; it is no fault.
    provision(centre, "revoke", "attic")
    listed = provision(centre, "list").stdout.splitlines()
    assert [line for line in listed if line.startswith("attic ") and "revoked" in line]


def test_a_new_key_is_tried_before_the_old_one_goes(centre):
    centre.identities.sh("mkdir -p nodes/old && cp -r nodes/cellar/publisher nodes/old/")
    provision(centre, "renew", "cellar")
    arrives(centre, "nodes/old/publisher", "/data/cellar", 24.5)
    arrives(centre, "nodes/cellar/publisher", "/data/cellar", 25.5)
    assert "two keys" in provision(centre, "list").stdout
    assert "revoke-old" in refusal(centre, "renew", "cellar")
    provision(centre, "revoke-old", "cellar")
    assert is_out(centre, "nodes/old/publisher", "/data/cellar")
    arrives(centre, "nodes/cellar/publisher", "/data/cellar", 26.5)
    assert "only one key" in refusal(centre, "revoke-old", "cellar")


def test_a_renamed_node_sends_what_it_has_under_its_old_name(centre):
    provision(centre, "node", "loft")
    assert is_out(centre, "nodes/loft/publisher", "/data/garret/batch")
    provision(centre, "node", "loft", WAS="garret")
    sent = publish(centre, "nodes/loft/publisher", "/data/garret/batch", "-m", "not a batch")
    assert not refused(sent), sent.stderr
    assert is_out(centre, "nodes/loft/publisher", "/data/garret")


def test_a_device_comes_in_by_its_password(centre):
    provision(centre, "device", "esp1")
    words = dict(line.split("=", 1) for line in centre.identities.read("devices/esp1").splitlines())

    def send(topic, password):
        login = ["-u", words["user"], "-P", password, "-V", "5", "-q", "1"]
        command = ["mosquitto_pub", "-h", "mosquitto", "-p", "1884", *login, "-t", topic]
        return centre.tools.run(*command, "-m", '{"temperature":27.5}', check=False)

    assert not refused(send("/data/esp1", words["password"]))
    eventually(lambda: "27.5" in stored(centre, "/data/esp1"), "it is stored", 30)
    assert refused(send("/data/cellar", words["password"]))
    assert refused(send("/data/esp1", "wrong"))
    provision(centre, "revoke", "esp1")
    assert refused(send("/data/esp1", words["password"]))


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (["init"], {"BROKER": "broker.local"}, "never overwritten"),
        (["node", "a/b"], {}, "begins with a letter or digit"),
        (["node", "x" * 65], {}, "1 to 64"),
        (["node", "_ingest"], {}, "begins with a letter or digit"),
        (["node", "broker"], {}, "another name"),
        (["node", "new:sparc"], {}, "amd64, arm64 or arm/v7"),
        (["node", "cellar"], {}, "has an identity already"),
        (["node", "new"], {"WAS": "#"}, "WAS=#"),
        (["device", "cellar"], {}, "has an identity already"),
        (["client", "root"], {}, "operator, homeassistant or dashboard"),
        (["revoke", "nobody"], {}, "nobody has this name"),
        (["revoke", "../ca"], {}, "nobody has this name"),
        (["revoke", "_ingest"], {}, "cannot be revoked"),
        (["server", "10.0.0.256"], {}, "neither a host's name nor an address"),
        (["what"], {}, "known are"),
    ],
)
def test_what_cannot_be_is_one_line(centre, arguments, settings, words):
    before = centre.identities.sh(SUMS)
    line = refusal(centre, *arguments, **settings)
    assert words in line
    assert centre.identities.sh(SUMS) == before


def test_without_the_authority_s_key_all_goes_on_but_what_needs_it(centre):
    centre.identities.sh("mv ca/ca.key away.key")
    try:
        assert "it was taken away" in refusal(centre, "node", "late")
        assert "cellar" in provision(centre, "list").stdout
        arrives(centre, "nodes/cellar/publisher", "/data/cellar", 28.5)
    finally:
        centre.identities.sh("mv away.key ca/ca.key")
    provision(centre, "node", "late")


def test_what_an_interruption_left_is_made_anew(centre):
    """A power cut between a node's folder and its entry, and one amid its making."""
    left = "mkdir -p nodes/shed/publisher nodes/.new-shed/publisher && touch nodes/.new-shed/publisher/node.key"
    centre.identities.sh(left)
    provision(centre, "node", "shed")
    arrives(centre, "nodes/shed/publisher", "/data/shed", 29.5)
    assert ".new-shed" not in centre.identities.sh("ls -A nodes").split()
