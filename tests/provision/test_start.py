"""What `./start` does not start, and what it mends: one line each, with what to do."""

import pytest
from board import SOMEBODY
from conftest import FOREIGN, PLATFORMS
from stack import docker


@pytest.fixture(scope="module")
def board(new_board):
    return new_board("refusals")


@pytest.fixture
def unpacked(site, board):
    """A whole bundle of `other0` on a board where nothing runs."""
    folder = board.unpack(site.bundle("other0")[1])
    yield folder
    board.run("docker", "compose", "-p", "dewpoint-node", "down", "--volumes", check=False)
    board.run("rm", "-rf", folder)


def test_not_root(board, unpacked):
    board.run("chmod", "755", "/root")
    said = board.refuses(unpacked, user=SOMEBODY)
    assert "must run as root" in said and "sudo ./start" in said


@pytest.mark.parametrize(
    "damage, named",
    [
        ("truncate -s -1000 images.tar", "images.tar"),
        ("rm node.yml", "node.yml"),
        ("rm identity/publisher/node.key", "identity/publisher/node.key"),
        (": >identity/mosquitto/dynamic-security.json", "dynamic-security.json"),
        ("sed -i '$d' manifest", "its end is missing"),
        ("rm images.tar", "its end is missing"),
    ],
)
def test_half_written(board, unpacked, damage, named):
    board.sh(damage, folder=unpacked)
    said = board.refuses(unpacked)
    assert named in said and "tar -xf" in said


def test_half_a_bundle(site, board):
    """A copy that broke off: what tar got out of it says so."""
    _, bundle = site.bundle("other0")
    board.put(bundle)
    board.sh("head -c 5000000 other0.tar >half.tar; tar -xf half.tar 2>/dev/null || :")
    assert "not a whole bundle" in board.refuses("/root/other0")
    board.run("rm", "-rf", "/root/other0")


def test_no_docker(board, unpacked):
    """Not installed, not running, without Compose."""
    board.sh("mkdir -p /nothing; for p in sh cat tail sed tr sha256sum dirname id grep; do ln -sf /usr/bin/$p /nothing/; done")
    said = board.refuses(unpacked, PATH="/nothing")
    assert "Docker is not installed" in said and "apt-get install" in said
    said = board.refuses(unpacked, DOCKER_HOST="unix:///nowhere.sock")
    assert "does not answer" in said and "systemctl start docker" in said
    plugin = "/usr/libexec/docker/cli-plugins/docker-compose"
    board.run("mv", plugin, "/docker-compose")
    try:
        said = board.refuses(unpacked)
    finally:
        board.run("mv", "/docker-compose", plugin)
    assert "docker compose is missing" in said and "apt-get install" in said


def test_another_platform(site, board):
    own = board.run("docker", "version", "--format", "{{.Server.Os}}/{{.Server.Arch}}").stdout.strip()
    other = next((p for p in PLATFORMS if not p.startswith(own)), None)
    assert other, f"PLATFORMS has to name another one than {own}"
    folder = board.unpack(site.bundle(FOREIGN[other])[1])
    said = board.refuses(folder)
    assert other in said and f"platform={own}" in said


def test_another_node(site, board, unpacked):
    """Of a board that is a node, and of a folder that was one's."""
    board.start(unpacked)
    foreign = board.unpack(site.bundle("trixie0")[1])
    said = board.refuses(foreign)
    for words in ("this board is other0", "docker compose -p dewpoint-node down", "dewpoint-node_outbox"):
        assert words in said
    board.run("tar", "-xf", "trixie0.tar", "--strip-components=1", "-C", unpacked)
    said = board.refuses(unpacked)
    for words in ("this folder is other0's", "trixie0.tar", f"{unpacked}/.env"):
        assert words in said
    board.run("rm", "-rf", foreign)


def test_unpacked_by_somebody(site, board, unpacked):
    """Owners and modes are mended, which is said, and the keys are good then."""
    board.sh(f"chown -R {SOMEBODY} .; chmod -R go+rX .", folder=unpacked)
    done = board.start(unpacked)
    mended = [line for line in done.stdout.splitlines() if line.startswith("mended: ")]
    assert len(mended) == 3, done.stdout
    owners = board.sh("stat -c '%u %a %n' identity/*/*", folder=unpacked).splitlines()
    for line in owners:
        uid, mode, name = line.split()
        assert uid == ("1883" if "/mosquitto/" in name else "10001") and mode == "600", line


def test_without_sensors(board, unpacked):
    """It starts, and says which line to write; one of the environment is kept."""
    done = board.start(unpacked)
    assert "SENSORS=climate=dht22@7/2s" in done.stdout.splitlines()[-1]
    assert "settings.env" in done.stdout.splitlines()[-1]
    done = board.start(unpacked, SENSORS="bench=sim@1,attic=sim@2")
    assert "SENSORS" not in done.stdout
    board.start(unpacked)
    assert board.sh("cat settings.env", folder=unpacked) == "SENSORS='bench=sim@1,attic=sim@2'\n"
    container = board.container(unpacked, "sampler")
    form = "{{range .Config.Env}}{{println .}}{{end}}"
    environment = board.run("docker", "inspect", "-f", form, container).stdout.splitlines()
    assert "SENSORS=bench=sim@1,attic=sim@2" in environment
    assert "quote" in board.refuses(unpacked, SENSORS="it's")


def test_a_bad_setting(board, unpacked):
    """Which service, what is wrong with it, and its last lines."""
    board.sh("echo 'SENSORS=climate=no-such-driver@1' >settings.env", folder=unpacked)
    done = board.start(unpacked, check=False, WAIT_S=3)
    assert done.returncode == 1
    assert "sampler: " in done.stderr and "no-such-driver" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("start: not well after 3 s: sampler")


def test_a_centre_that_is_away(site, board, unpacked):
    docker("pause", site.centre.name)
    try:
        done = board.start(unpacked, check=False, WAIT_S=3)
    finally:
        docker("unpause", site.centre.name)
    assert done.returncode == 1
    assert "publisher: unhealthy: " in done.stderr and ":8883" in done.stderr
    # It has gone on trying.
    board.start(unpacked)
