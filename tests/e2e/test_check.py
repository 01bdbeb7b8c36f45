"""`make provision-check`: all doors of a right broker, one that was opened on purpose, and what
an interrupted check has left."""

import json

import pytest
from stack import docker, free_port, image
from town import Town

CONTROL = "$CONTROL/dynamic-security/v1"
OWN = "provision-check"


@pytest.fixture(scope="module")
def centre(new_stack, new_identities):
    identities = new_identities("check", nodes=["cellar"])
    stack = new_stack("check", "broker.yml", MQTTS_PORT=free_port(), **identities.broker())
    stack.up()
    stack.all_healthy()
    stack.identities = identities
    return stack


@pytest.fixture(scope="module")
def town(centre, tmp_path_factory):
    return Town(centre.identities, centre, centre, tmp_path_factory.mktemp("town"))


def check(centre):
    return centre.identities.run("check", project=centre.project, check=False)


def change(town, command):
    with town.enter("_admin") as admin:
        admin.subscribe(f"{CONTROL}/response")
        admin.publish(CONTROL, json.dumps({"commands": [command]}).encode())
        answer = json.loads(admin.until(f"{CONTROL}/response"))["responses"][0]
    assert "error" not in answer, answer
    return answer["data"] if "data" in answer else None


def whose(town):
    """Names that the broker knows."""
    return change(town, {"command": "listClients"})["clients"]


def nothing_left(centre, town):
    assert not [name for name in whose(town) if name.startswith(OWN)]
    assert OWN not in centre.identities.run("list").stdout


def test_all_is_right(centre, town):
    """Also the second time, and nobody else sees anything of it."""
    with town.enter("cellar") as node:
        for _ in range(2):
            result = check(centre)
            lines = result.stdout.splitlines()
            assert result.returncode == 0, result.stdout + result.stderr
            assert lines[-1].endswith(" doors shut, 8 that should open do, 0 wrong")
            assert sum(line.startswith("refused  ") for line in lines) >= 20
            nothing_left(centre, town)
        node.ping()
    for table in ("reading", "dead_letter"):
        assert centre.query(f"SELECT count(*) FROM {table}") == [["0"]]


def acl(right, topic):
    return {"acltype": right, "topic": topic, "priority": 0, "allow": True}


def open_by_default(right, allow):
    return {"command": "setDefaultACLAccess", "acls": [{"acltype": right, "allow": allow}]}


OPERATOR_MAY = {"rolename": "_operator", **acl("publishClientSend", CONTROL)}
OPERATOR_HEARS = {"rolename": "_operator", **acl("subscribePattern", "status/#")}


@pytest.mark.parametrize(
    "wrong, right, says",
    [
        (
            [{"command": "addRoleACL", **OPERATOR_MAY}, {"command": "removeRoleACL", **OPERATOR_HEARS}],
            [{"command": "removeRoleACL", **OPERATOR_MAY}, {"command": "addRoleACL", **OPERATOR_HEARS}],
            ["OPEN     an operator changes rights", "SHUT     an operator hears everybody's status: "],
        ),
        (
            [open_by_default("subscribe", True)],
            [open_by_default("subscribe", False)],
            ["OPEN     a node hears everything", "OPEN     a device hears everything"],
        ),
    ],
    ids=["a right more and one less", "a default"],
)
def test_a_wrong_door(centre, town, wrong, right, says):
    for command in wrong:
        change(town, command)
    result = check(centre)
    for command in right:
        change(town, command)
    assert result.returncode == 1, result.stderr
    for words in says:
        assert words in result.stdout, result.stdout
    found = [line for line in result.stdout.splitlines() if line.startswith(("OPEN", "SHUT"))]
    assert result.stdout.splitlines()[-1].endswith(f", {len(found)} wrong")
    nothing_left(centre, town)


def test_killed_meanwhile(centre, town):
    """Nothing could tidy up: the next command does, whichever it is."""
    running = centre.identities.begin("check", project=centre.project)
    assert running.stdout.readline().startswith("works")
    its = ["--filter", f"volume={centre.identities.path}", "--filter", f"ancestor={image('provision')}"]
    docker("kill", docker("ps", "-q", *its).stdout.strip())
    assert running.wait(60) != 0
    running.communicate()
    assert [name for name in whose(town) if name.startswith(OWN)]
    centre.identities.run("list", project=centre.project)
    nothing_left(centre, town)


def test_no_broker_runs(new_identities):
    """One line with what is missing, and nothing is made."""
    result = new_identities("check-alone").run("check", check=False)
    assert result.returncode == 1 and "no broker runs" in result.stderr


def test_on_another_machine(centre, town):
    """Where only one of the broker's ports is reached, nothing is said of the others."""
    result = centre.identities.run("check", check=False, BROKER_AT=town.host)
    assert result.returncode == 1 and result.stdout == ""
    assert "on another machine" in result.stderr
    nothing_left(centre, town)
