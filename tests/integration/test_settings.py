"""Settings: read once at start, refused with a reason, explained by --help."""

import pytest

from harness.service import run_service

COMMON = ["LOG_LEVEL", "RUN_DIR", "INSTANCE", "STATS_PERIOD_S", "MQTT_URL"]
COMMON += ["TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE", "ALLOW_INSECURE"]
OWN = {
    "sampler": ["SENSORS", "PERIOD_MS", "RING_SIZE", "LEDGER", "WINDOW"],
    "publisher": ["NODE_NAME", "UPSTREAM_URL", "TOPIC_PREFIX", "OUTBOX", "ANSWER_WITHIN", "SPILL_AFTER_MS", "LINK", "SEND_EVERY", "COMPRESS"],
    "ingest": ["STORE_URL", "TOPIC_PREFIX", "PRINT_READINGS", "MAX_MESSAGE_BYTES", "NODE_NAME", "BROKER_ACCESS"],
    "ingest-postgres": ["STORE_URL", "TOPIC_PREFIX", "PRINT_READINGS", "PLAIN_WAIT", "NODE_NAME", "BROKER_ACCESS"],
    "retention-pruner": ["STORE_URL", "RETENTION", "PRUNE_INTERVAL_S", "NODE_NAME"],
    "retention-pruner-postgres": ["STORE_URL", "RETENTION", "PRUNE_INTERVAL_S", "NODE_NAME"],
}
GOOD = {
    "sampler": {"SENSORS": "bench=sim@1"},
    "publisher": {"NODE_NAME": "raspberrypi4", "UPSTREAM_URL": "mqtt://127.0.0.1:1"},
    "ingest": {},
    "ingest-postgres": {},
    "retention-pruner": {},
    "retention-pruner-postgres": {},
}
SERVICES = list(OWN)

# service, variable, value
BAD = [
    ("sampler", "SENSORS", None),
    ("sampler", "SENSORS", "climate"),
    ("sampler", "SENSORS", "climate=nosuchdriver@7"),
    ("sampler", "SENSORS", "bad/name=sim@1"),
    ("sampler", "SENSORS", "a=sim@1,a=sim@2"),
    ("sampler", "SENSORS", "climate=replay@/does/not/exist.csv"),
    ("sampler", "SENSORS", "bench=sim@notanumber"),
    ("sampler", "PERIOD_MS", "0"),
    ("sampler", "PERIOD_MS", "2s"),
    ("sampler", "PERIOD_MS", "99999999999999999999"),
    ("sampler", "RING_SIZE", "0"),
    ("sampler", "MQTT_URL", "http://127.0.0.1"),
    ("sampler", "LOG_LEVEL", "loud"),
    ("publisher", "NODE_NAME", None),
    ("publisher", "NODE_NAME", "two words"),
    ("publisher", "NODE_NAME", "a/b"),
    ("publisher", "UPSTREAM_URL", None),
    ("publisher", "UPSTREAM_URL", "127.0.0.1:1883"),
    ("publisher", "UPSTREAM_URL", "mqtt://127.0.0.1:70000"),
    ("publisher", "TOPIC_PREFIX", "/data/#"),
    ("publisher", "SPILL_AFTER_MS", "-1"),
    ("publisher", "ANSWER_WITHIN", "61s"),
    ("publisher", "ANSWER_WITHIN", "00"),
    ("publisher", "ANSWER_WITHIN", "soon"),
    ("publisher", "SEND_EVERY", "11m"),
    ("publisher", "LINK", "wan"),
    ("publisher", "COMPRESS", "zstd"),
    ("ingest", "STORE_URL", "mysql://localhost/x"),
    ("ingest", "STORE_URL", "broker.db"),
    ("ingest", "STORE_URL", "postgresql://dewpoint@127.0.0.1/dewpoint"),
    ("ingest", "TOPIC_PREFIX", "+/data"),
    ("ingest", "PRINT_READINGS", "maybe"),
    ("ingest", "MAX_MESSAGE_BYTES", "0"),
    ("ingest", "PLAIN_WAIT", "5001ms"),
    ("ingest", "PLAIN_WAIT", "-1s"),
    ("ingest", "PLAIN_WAIT", "1"),
    ("ingest", "NODE_NAME", "-broker"),
    ("ingest", "BROKER_ACCESS", "open"),
    ("ingest-postgres", "BROKER_ACCESS", "1"),
    ("retention-pruner", "ALLOW_INSECURE", "maybe"),
    ("ingest-postgres", "STORE_URL", "sqlite:///data/broker.db"),
    ("ingest-postgres", "STORE_URL", "postgresql:///dewpoint"),
    ("ingest-postgres", "STORE_URL", "postgresql://host/dewpoint?nosuchthing=1"),
    ("ingest-postgres", "STORE_URL", "postgresql://[::1/dewpoint"),
    ("retention-pruner", "STORE_URL", "sqlite:relative.db"),
    ("retention-pruner", "STORE_URL", "postgresql://dewpoint@127.0.0.1/dewpoint"),
    ("retention-pruner", "RETENTION", "raw"),
    ("retention-pruner", "RETENTION", "raw:30x"),
    ("retention-pruner", "RETENTION", "raw:-1d"),
    ("retention-pruner", "RETENTION", "raw:0d"),
    ("retention-pruner", "RETENTION", "raw:30d,1m:99999999999999999999y"),
    ("retention-pruner", "RETENTION", "raw:30d,1m:1y,1m:2y"),
    ("retention-pruner", "RETENTION", "raw:30d,1m:1y,90s:1y"),
    ("retention-pruner", "RETENTION_ORANGEPI0", "raw:-1d"),
    ("retention-pruner", "RETENTION_ORANGEPI0", "5m:1y"),
    ("retention-pruner", "MAX_DB_BYTES", "16777215"),
    ("retention-pruner", "MIN_FREE_BYTES", "1048575"),
    ("retention-pruner", "PRUNE_INTERVAL_S", "0"),
    ("retention-pruner-postgres", "STORE_URL", "sqlite:///data/broker.db"),
    ("retention-pruner-postgres", "STORE_URL", "postgresql:///dewpoint"),
    ("retention-pruner-postgres", "RETENTION", "raw:30x"),
    ("retention-pruner-postgres", "MAX_DB_BYTES", "16777215"),
    ("retention-pruner-postgres", "MIN_FREE_BYTES", "1073741824"),
]


def bad_id(entry):
    service, name, value = entry
    return f"{service}-{name}-{value}".replace("/", "|")


@pytest.mark.parametrize("entry", BAD, ids=bad_id)
def test_a_bad_setting_stops_the_service(tmp_path, entry):
    """Exit 78 and one line on stderr with the variable, its value and what is allowed."""
    service, name, value = entry
    settings = {"RUN_DIR": tmp_path, **GOOD[service], name: value}
    done = run_service(service, **settings)
    assert done.returncode == 78, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert f"name={name} " in lines[0]
    # A URL may hold a password, so it may be hidden.
    shown = [f'value="{value or ""}"'] + ['value="(hidden)"'] * name.endswith("_URL")
    assert any(text in lines[0] for text in shown), lines[0]
    # What is allowed, or what is wrong with this one.
    assert any(f' {key}="' in lines[0] for key in ("allowed", "reason")), lines[0]
    assert done.stdout == ""


@pytest.mark.parametrize("service", SERVICES)
def test_check_config_agrees(tmp_path, service):
    """--check-config: 0 for good settings, 78 and the same line for bad ones, and nothing starts."""
    good = run_service(service, "--check-config", RUN_DIR=tmp_path, **GOOD[service])
    assert good.returncode == 0, good.stderr
    bad = run_service(service, "--check-config", RUN_DIR=tmp_path, MQTT_URL="x", **GOOD[service])
    assert bad.returncode == 78
    assert "name=MQTT_URL " in bad.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_bad_setting_is_named(tmp_path, service):
    """Two mistakes are two lines, so that one start finds both."""
    settings = {**GOOD[service], "LOG_LEVEL": "loud", "STATS_PERIOD_S": "0"}
    done = run_service(service, RUN_DIR=tmp_path, **settings)
    assert done.returncode == 78
    assert "name=LOG_LEVEL " in done.stderr and "name=STATS_PERIOD_S " in done.stderr
    assert "debug" in done.stderr and "info" in done.stderr and "warn" in done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_a_misspelt_setting_is_not_ignored(tmp_path, service):
    """LOG_LEVLE is not somebody else's variable: exit 78, and the right name is suggested."""
    done = run_service(service, RUN_DIR=tmp_path, LOG_LEVLE="debug", **GOOD[service])
    assert done.returncode == 78
    assert "LOG_LEVLE" in done.stderr and "LOG_LEVEL" in done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_help_lists_every_variable(service):
    """--help: exit 0, every setting of the service at the start of a line."""
    done = run_service(service, "--help")
    assert done.returncode == 0 and done.stderr == ""
    listed = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert set(COMMON + OWN[service]) <= listed


@pytest.mark.parametrize("service", SERVICES)
def test_version_and_unknown_arguments(service):
    """--version names the service; an unknown argument is a mistake, not ignored."""
    done = run_service(service, "--version")
    assert done.returncode == 0 and done.stdout.startswith(f"{service} ")
    done = run_service(service, "--nonsense", **GOOD[service])
    assert done.returncode == 78 and "--nonsense" in done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_healthcheck_of_nobody(tmp_path, service):
    """--healthcheck without a running service: exit 1 and a reason in one line."""
    done = run_service(service, "--healthcheck", RUN_DIR=tmp_path, **GOOD[service])
    assert done.returncode == 1, done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_a_value_from_a_file(tmp_path):
    """NAME_FILE reads the value, without the final newline, for secrets."""
    secret = tmp_path / "url"
    secret.write_text("mqtt://node:geheim@127.0.0.1:1883\n")
    settings = {**GOOD["publisher"], "UPSTREAM_URL": None, "UPSTREAM_URL_FILE": secret}
    done = run_service("publisher", "--check-config", RUN_DIR=tmp_path, **settings)
    assert done.returncode == 0, done.stderr
    secret.write_text("gopher://geheim\n")
    done = run_service("publisher", "--check-config", RUN_DIR=tmp_path, **settings)
    assert done.returncode == 78 and "UPSTREAM_URL" in done.stderr


def test_a_file_that_is_not_there(tmp_path):
    """NAME_FILE with no such file: exit 78, the path is named."""
    missing = tmp_path / "missing"
    settings = {**GOOD["publisher"], "NODE_NAME": None, "NODE_NAME_FILE": missing}
    done = run_service("publisher", RUN_DIR=tmp_path, **settings)
    assert done.returncode == 78 and str(missing) in done.stderr


def test_a_value_and_its_file_together(tmp_path):
    """NAME and NAME_FILE at once would leave one of them ignored: exit 78."""
    name = tmp_path / "name"
    name.write_text("other\n")
    done = run_service("publisher", RUN_DIR=tmp_path, NODE_NAME_FILE=name, **GOOD["publisher"])
    assert done.returncode == 78 and "NODE_NAME_FILE" in done.stderr


def test_a_password_is_not_printed(tmp_path):
    """A bad URL with a password is refused without showing the password."""
    url = "mqtt://node:geheim@127.0.0.1:70000"
    settings = {**GOOD["publisher"], "UPSTREAM_URL": url}
    done = run_service("publisher", RUN_DIR=tmp_path, **settings)
    assert done.returncode == 78 and "name=UPSTREAM_URL " in done.stderr
    assert "geheim" not in done.stderr


def test_an_unusable_run_dir(tmp_path):
    """A RUN_DIR that is not there: the service says so and does not run without health."""
    done = run_service("ingest", RUN_DIR=tmp_path / "none", STORE_URL=f"sqlite://{tmp_path}/b.db")
    assert done.returncode != 0 and "RUN_DIR" in done.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no edge"),
        ("t_ns,level\n", "edge"),
        ("t_ns,level\n100,0\n50,1\n", "line 3"),
        ("t_ns,level\n100,0\n200,0\n", "line 3"),
        ("t_ns,level\n100,0\nx,1\n", "line 3"),
    ],
)
def test_a_malformed_capture(tmp_path, text, reason):
    """replay@ a file that is no capture: exit 78 with what is wrong and where."""
    capture = tmp_path / "capture.csv"
    capture.write_text(text)
    done = run_service("sampler", SENSORS=f"climate=replay@{capture}", RUN_DIR=tmp_path)
    assert done.returncode == 78
    assert "capture.csv" in done.stderr and reason in done.stderr, done.stderr
