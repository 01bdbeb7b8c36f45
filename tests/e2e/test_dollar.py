"""A dollar in .env: a service gets what was typed."""

import json
import subprocess

import pytest
from stack import DOCKER, REPO


@pytest.mark.parametrize(
    "typed", ["'mqtt://u:a$b@h'", "mqtt://u:a$$b@h", "mqtt://u:a%24b@h"], ids=["quoted", "twice", "url"]
)
def test_a_password_with_a_dollar(tmp_path, typed):
    env = tmp_path / "env"
    env.write_text(f"NODE_NAME=a\nSENSORS=bench=sim@1\nUPSTREAM_URL={typed}\n", encoding="utf-8")
    node = REPO / "compose/node.yml"
    command = [DOCKER, "compose", "--env-file", env, "-f", node, "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    url = json.loads(done.stdout)["services"]["publisher"]["environment"]["UPSTREAM_URL"]
    # What `config` prints is a Compose file again: a dollar is written twice in it.
    assert url.replace("$$", "$").replace("%24", "$") == "mqtt://u:a$b@h"
