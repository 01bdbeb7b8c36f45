"""`make provision` and what follows, at a broker that runs: who is new comes in, who is revoked is out,
what cannot be done is one line with what to do."""


import pytest
from stack import DEV_IMAGE, Tools, docker, free_port, image
from town import Town
from wire import Ended

from harness.wait import eventually

NODES = ["cellar", "attic"]


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


def in_folder(centre, command):
    """As root, in the folder of identities."""
    return centre.identities.sh(command)


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


def shut_out(sent):
    """At the door, not only for want of rights."""
    return sent.returncode != 0 and "ot authori" not in sent.stderr


def knocks(centre, folder):
    return publish(centre, folder, "status/knock", "-n")


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


def test_a_broker_that_was_told_is_started_again_when_it_ends(centre):
    """The engine starts nothing again whom it sent a signal itself: so it must not be asked to."""
    provision(centre, "node", "brief")
    provision(centre, "revoke", "brief")
    broker = centre.container("mosquitto")
    before = broker.state["State"]["StartedAt"]
    beside = ["--pid", f"container:{broker.id}", "--user", "0", DEV_IMAGE]
    docker("run", "--rm", *beside, "kill", "-s", "TERM", "1")
    eventually(
        lambda: centre.container("mosquitto").state["State"]["StartedAt"] != before,
        "the engine has started it again",
        60,
    )
    arrives(centre, "nodes/cellar/publisher", "/data/cellar", 23.75)


def test_a_new_key_is_tried_before_the_old_one_goes(centre):
    in_folder(centre, "mkdir -p nodes/old && cp -r nodes/cellar/publisher nodes/old/")
    provision(centre, "renew", "cellar")
    arrives(centre, "nodes/old/publisher", "/data/cellar", 24.5)
    arrives(centre, "nodes/cellar/publisher", "/data/cellar", 25.5)
    assert "two keys" in provision(centre, "list").stdout
    assert "revoke-old" in refusal(centre, "renew", "cellar")
    provision(centre, "revoke-old", "cellar")
    assert is_out(centre, "nodes/old/publisher", "/data/cellar")
    arrives(centre, "nodes/cellar/publisher", "/data/cellar", 26.5)
    assert "only one key" in refusal(centre, "revoke-old", "cellar")


def test_a_thief_of_the_old_key_loses_its_session(centre, tmp_path):
    """A list alone ends none."""
    provision(centre, "node", "gable")
    town = Town(centre.identities, centre, centre, tmp_path)
    provision(centre, "renew", "gable")
    with town.enter("gable") as thief:
        thief.ping()
        provision(centre, "revoke-old", "gable")
        with pytest.raises(Ended):
            thief.ping()
    arrives(centre, "nodes/gable/publisher", "/data/gable", 24.75)


def test_an_interrupted_renewal_shuts_nobody_out(centre):
    """Before the new pair counts, the old one does; after it, the next command goes on."""
    provision(centre, "node", "hall")
    old = "nodes/hall/publisher/node"
    in_folder(centre, f"cp -p {old}.key ca/old-hall.key; cp -p {old}.crt ca/old-hall.crt")
    assert "only one key" in refusal(centre, "revoke-old", "hall")
    arrives(centre, "nodes/hall/publisher", "/data/hall", 23.25)
    provision(centre, "renew", "hall")
    # As it is between the two moves: the new key beside the old certificate.
    in_folder(centre, f"mkdir renewed-hall; mv {old}.crt renewed-hall/crt; cp -p ca/old-hall.crt {old}.crt")
    assert "two keys" in provision(centre, "list").stdout
    provision(centre, "revoke-old", "hall")
    arrives(centre, "nodes/hall/publisher", "/data/hall", 23.5)


def test_a_renamed_node_sends_what_it_has_under_its_old_name(centre):
    provision(centre, "node", "loft")
    assert is_out(centre, "nodes/loft/publisher", "/data/garret/batch")
    provision(centre, "node", "loft", WAS="garret")
    sent = publish(centre, "nodes/loft/publisher", "/data/garret/batch", "-m", "not a batch")
    assert not refused(sent), sent.stderr
    assert is_out(centre, "nodes/loft/publisher", "/data/garret")
    provision(centre, "node", "loft", WAS="mezzanine")
    assert "was garret mezzanine" in provision(centre, "list").stdout


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
    provision(centre, "renew", "esp1")
    assert refused(send("/data/esp1", words["password"]))
    words = dict(line.split("=", 1) for line in centre.identities.read("devices/esp1").splitlines())
    assert not refused(send("/data/esp1", words["password"]))
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
        (["node", "new"], {"WAS": "cellar"}, "may come in itself"),
        (["node", "new"], {"SENSORS": "a'b"}, "a quote or a line break"),
        (["node", "new"], {"OUTPUTS": "a\nb"}, "a quote or a line break"),
        (["list"], {"TOPIC_PREFIX": "/other"}, "the rights in"),
        (["addresses", "10.0.0.256"], {}, "neither a host's name nor an address"),
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
    before = provision(centre, "list").stdout
    result = provision(centre, *arguments, check=False, **settings)
    assert result.returncode != 0
    # A value with a line break is shown as it is.
    assert words in result.stderr and len(result.stderr.splitlines()) <= 1 + str(settings).count("\\n")
    assert provision(centre, "list").stdout == before


def test_without_the_authority_s_key_all_goes_on_but_what_needs_it(centre):
    """A revocation needs it for the list alone: rights and session end at once."""
    provision(centre, "node", "porch")
    in_folder(centre, "mv ca/ca.key away.key")
    try:
        assert "it was taken away" in refusal(centre, "node", "late")
        assert "cellar" in provision(centre, "list").stdout
        arrives(centre, "nodes/cellar/publisher", "/data/cellar", 28.5)
        assert "it was taken away" in refusal(centre, "revoke", "porch")
        assert is_out(centre, "nodes/porch/publisher", "/data/porch")
    finally:
        in_folder(centre, "mv away.key ca/ca.key")
    assert not shut_out(knocks(centre, "nodes/porch/publisher"))
    provision(centre, "revoke", "porch")
    assert shut_out(knocks(centre, "nodes/porch/publisher"))
    provision(centre, "node", "late")


def test_an_authority_that_is_away_is_not_made_anew(centre):
    in_folder(centre, "mv ca away")
    try:
        assert "put it back" in refusal(centre, "init", BROKER="broker.local")
        assert "put it back" in refusal(centre, "list")
    finally:
        in_folder(centre, "mv away ca")
    arrives(centre, "nodes/cellar/publisher", "/data/cellar", 28.75)


def test_nobody_leaves_the_list_of_the_revoked(centre):
    """An older copy of ca/ is put back, or what a power cut left of it."""
    for name in ("first", "second"):
        provision(centre, "node", name)
    provision(centre, "revoke", "first")
    in_folder(centre, "rm -r ca/revoked ca/crl.pem")
    provision(centre, "revoke", "second")
    assert shut_out(knocks(centre, "nodes/second/publisher"))
    assert shut_out(knocks(centre, "nodes/first/publisher"))


def test_a_certificate_is_revoked_also_when_its_folder_is_gone(centre, tmp_path):
    for name in ("gone", "unknown"):
        provision(centre, "node", name)
    in_folder(centre, "cp -r nodes/gone nodes/thief; rm -r nodes/gone nodes/unknown ca/issued/unknown")
    provision(centre, "revoke", "gone")
    assert shut_out(knocks(centre, "nodes/thief/publisher"))
    assert "no certificate of unknown" in refusal(centre, "revoke", "unknown")


def test_what_the_broker_was_not_told_it_is_told_by_the_next_command(centre):
    """Its own file has none of it, and is written anew at each change."""
    identities = centre.identities
    provision(centre, "node", "told")
    assert "nobody was shut out yet" in identities.run("revoke", "told", check=False).stderr
    identities.run("revoke", "told", BROKER="down")
    identities.run("node", "untold")
    arrives(centre, "nodes/told/publisher", "/data/told", 22.0)
    assert is_out(centre, "nodes/untold/publisher", "/data/untold")
    provision(centre, "device", "gadget")
    assert is_out(centre, "nodes/told/publisher", "/data/told")
    assert shut_out(knocks(centre, "nodes/told/publisher"))
    arrives(centre, "nodes/untold/publisher", "/data/untold", 22.25)
    # Whoever repeats the command itself is not refused, as long as it was not told.
    identities.run("node", "unsaid")
    provision(centre, "node", "unsaid")
    arrives(centre, "nodes/unsaid/publisher", "/data/unsaid", 22.75)
    assert "has an identity already" in refusal(centre, "node", "unsaid")


def test_a_broker_that_hangs_is_not_taken_for_a_door_that_is_shut(centre):
    provision(centre, "node", "hung")
    broker = centre.container("mosquitto").id
    docker("kill", "--signal", "STOP", broker)
    try:
        assert "does not answer" in refusal(centre, "revoke", "hung")
    finally:
        docker("kill", "--signal", "CONT", broker)
    provision(centre, "revoke", "hung")
    assert shut_out(knocks(centre, "nodes/hung/publisher"))


def test_a_bundle_of_before_is_removed(centre):
    in_folder(centre, ": >broker.tar")
    said = provision(centre, "node", "packed").stdout
    assert "ci/bundle.sh broker" in said
    assert "broker.tar" not in in_folder(centre, "ls")


def test_the_broker_gets_other_addresses(centre):
    said = provision(centre, "addresses", "elsewhere.local,mosquitto").stdout
    assert "mqtts://elsewhere.local:8883" in said
    assert "UPSTREAM_URL=mqtts://elsewhere.local:8883" in centre.identities.read("nodes/cellar/env")
    network = ["--network", f"{centre.project}_default", "-v", f"{centre.identities.path}:/i:ro"]
    ask = ["s_client", "-connect", "mosquitto:8883", "-CAfile", "/i/ca/ca.crt", "-brief"]
    ask += ["-verify_hostname", "elsewhere.local"]
    program = ["--entrypoint", "openssl", image("provision")]
    # What it says goes to standard error; the broker wants a certificate, so it ends with 1.
    shown = docker("run", "--rm", *network, *program, *ask, check=False).stderr
    assert "Verified peername: elsewhere.local" in shown
    arrives(centre, "nodes/cellar/publisher", "/data/cellar", 28.25)


def test_what_an_interruption_left_is_made_anew(centre):
    """A power cut between a node's folder and its entry, and one amid its making."""
    in_folder(centre, "mkdir -p nodes/shed/publisher nodes/.new-shed/publisher; touch nodes/.new-shed/publisher/node.key")
    provision(centre, "node", "shed")
    arrives(centre, "nodes/shed/publisher", "/data/shed", 29.5)
    assert ".new-shed" not in in_folder(centre, "ls -A nodes").split()
