"""scale.yml: PostgreSQL, two ingests and a pruner."""

from types import SimpleNamespace

import checks
import pytest
from stack import docker, free_port

from harness.client import Client
from harness.peer import Peer, new_stream
from harness.pruning import order
from harness.wait import eventually

BUILD_S = 900


@pytest.fixture(scope="module")
def scale(new_stack):
    # The readings that are sent here are not new.
    stack = new_stack("scale", "scale.yml", MQTT_PORT=free_port(), RETENTION="raw:10y,1h:10y")
    # ci/images.sh makes all others.
    stack.compose("build", "--quiet", "postgres", timeout=BUILD_S)
    stack.up()
    return stack


def rows(stack, sql):
    """Of the database, as psql prints them."""
    command = ["psql", "-h", "/run/dewpoint", "-U", "dewpoint", "-Atc", sql]
    return stack.compose("exec", "-T", "postgres", *command).stdout.splitlines()


def peer(stack):
    client = Client(SimpleNamespace(port=stack.settings["MQTT_PORT"], certificates=None))
    return client, Peer(client)


def test_confined_and_limited(scale):
    """As every other stack; but initdb needs a shell, so postgres has one."""
    scale.all_healthy()
    for container in scale.containers():
        checks.limited(container)
        checks.confined(container, shell=container.service == "postgres")
    assert sum(container.service == "ingest" for container in scale.containers()) == 2


def test_no_password_no_entry(scale):
    """Whoever reaches the server, from its network or its host, is asked for the password."""
    server = scale.container("postgres")
    (network,) = server.state["NetworkSettings"]["Networks"].values()
    url = f"postgresql://dewpoint@{network['IPAddress']}/dewpoint"
    command = ["exec", server.id, "psql", "--no-password", "-c", "SELECT 1"]
    asked = docker(*command, url, check=False)
    assert asked.returncode != 0 and "no password supplied" in asked.stderr
    passed = docker(*command, f"{url}?passfile=/secret/pgpass")
    assert passed.returncode == 0


def test_stored_once_whatever_is_killed(scale):
    """Batches are answered while an ingest and PostgreSQL are killed, and nothing is twice."""
    client, node = peer(scale)
    stream = new_stream()
    try:
        for first in range(1, 100, 10):
            assert node.batch(stream, first, 10)["stored"] == [[stream, first, 10]]
        victims = [scale.container("ingest"), scale.container("postgres")]
        for victim in victims:
            docker("kill", "--signal", "KILL", victim.id)
        docker("start", *[victim.id for victim in victims])
        scale.all_healthy()
        # What was stored is known: the same again, and what follows.
        assert node.batch(stream, 51, 100)["stored"] == [[stream, 51, 100]]
    finally:
        client.close()
    assert rows(scale, "SELECT count(*), count(DISTINCT ts) FROM reading") == ["150|150"]
    assert rows(scale, "SELECT stored FROM stream") == ["{[1,151)}"]


def test_the_pruner_counts_and_reports(scale):
    """It is told to run, and says what it did: all readings are in their hours, none is gone."""
    client, _ = peer(scale)
    try:
        assert order(client)["outcome"] == "done"
    finally:
        client.close()
    assert rows(scale, "SELECT sum(count) FROM reading_1h") == ["300"]
    assert rows(scale, "SELECT count(*) FROM reading") == ["150"]


def test_the_readings_stay(scale):
    """`down` and `up`: the cluster is on its volume, and is not made anew."""
    scale.compose("down")
    scale.up()
    scale.all_healthy()
    assert rows(scale, "SELECT count(*) FROM dht") == ["150"]
    eventually(lambda: rows(scale, "SELECT 1 FROM lease WHERE expires > now()"), "a holder")
