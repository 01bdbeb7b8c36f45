"""What mosquitto with dynamic-security refuses is in its log and in its statistics."""

import base64
import hashlib
import json
import subprocess

import pytest

from harness import eventually
from harness.access import dynamic_security
from harness.service import BIN, logfmt
from harness.usage import peak_rss_kb

PLUGIN = BIN.parent / "plugins/refusals.so"
STATS = "stats/broker/mosquitto/mosquitto"
NOTHING = {"publish": 0, "subscribe": 0, "unsubscribe": 0, "receive": 0, "login": 0}


def user(name, password=None, **more):
    about = {"username": name, "roles": [{"rolename": "r"}], **more}
    if password:
        salt = b"twelve bytes"
        digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
        about["password"] = base64.b64encode(digest).decode()
        about["salt"] = base64.b64encode(salt).decode()
        about["iterations"] = 101
    return about


def rights():
    def acl(kind, topic, allow=True):
        return {"acltype": kind, "topic": topic, "priority": 0, "allow": allow}

    access = ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")
    return {
        "defaultACLAccess": dict.fromkeys(access, False),
        "clients": [
            user("pi", "secret"),
            user("second", "secret"),
            user("disabled", "secret", disabled=True),
            user("tied", "secret", clientid="another"),
            user("without"),
        ],
        "roles": [
            {
                "rolename": "r",
                "acls": [
                    acl("publishClientSend", "may/#"),
                    acl("publishClientSend", "must/not", allow=False),
                    acl("publishClientReceive", "may/all"),
                    acl("publishClientReceive", "stats/#"),
                    acl("subscribePattern", "may/#"),
                    acl("subscribeLiteral", STATS),
                ],
            }
        ],
    }


class Watched:
    """A broker with the plugin; `dynamic` says whether with dynamic-security too."""

    def __init__(self, lab, dynamic=True, plugin=True, anonymous=False, options=(), **broker):
        more = [f"allow_anonymous {str(anonymous).lower()}"]
        if plugin:
            more += [f"plugin {PLUGIN}", "plugin_opt_stats_period_s 1"]
            more += [f"plugin_opt_{option}" for option in options]
        if dynamic:
            path = lab.directory / f"rights-{len(lab.brokers)}.json"
            path.write_text(json.dumps(rights()), encoding="utf-8")
            path.chmod(0o600)
            more += [f"plugin {dynamic_security()}", f"plugin_opt_config_file {path}"]
        self.lab = lab
        self.broker = lab.broker(more=more, **broker)

    def lines(self, **wanted):
        lines = self.broker.process.stderr().split("\n")[:-1]
        events = [logfmt(line[line.index("level=") :]) for line in lines if " level=" in line]
        return [e for e in events if all(e.get(k) == v for k, v in wanted.items())]

    def line(self, **wanted):
        """The only one, once it is there."""
        eventually(lambda: self.lines(**wanted), f"a line with {wanted}")
        (line,) = self.lines(**wanted)
        assert line["level"] == "warn" and line["svc"] == "mosquitto"
        return line

    def client(self, name="pi"):
        return self.lab.client(self.broker, user=name, password="secret")

    def publish(self, topic, name="pi", password="secret", more=()):
        """Whether the broker took it."""
        return self.run("mosquitto_pub", name, password, ["-t", topic, "-m", "1", "-q", "1", *more])

    def subscribe(self, topic, name="pi", password="secret"):
        return self.run("mosquitto_sub", name, password, ["-t", topic, "-E"])

    def run(self, program, name, password, arguments):
        command = [program, "-V", "5", "-h", self.broker.host, "-p", str(self.broker.port)]
        command += ["-u", name] if name is not None else []
        command += ["-P", password] if password is not None else []
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30)
        words = ("not authorized", "denied")
        return done.returncode == 0 and not any(word in done.stderr.lower() for word in words)

    def counts(self, want):
        """Wait until the statistics say so, and nothing else."""
        client = self.client()
        client.subscribe(STATS)
        expected = {f"refused_{kind}": n for kind, n in (NOTHING | want).items()}
        client.wait_message(STATS, lambda message: json.loads(message.payload) == expected)
        client.close()


@pytest.fixture
def watched(lab):
    return Watched(lab)


def test_what_is_allowed_is_not_mentioned(watched):
    assert watched.publish("may/all")
    assert watched.subscribe("may/all")
    watched.counts({})
    assert watched.lines() == []


@pytest.mark.parametrize("topic", ["data/other", "$CONTROL/dynamic-security/v1"])
def test_publishing(watched, topic):
    assert not watched.publish(topic, more=["-i", "board"])
    line = watched.line(action="publish")
    assert line["msg"] == "refused: not among its rights"
    assert (line["user"], line["client"], line["topic"]) == ("pi", "board", topic)
    assert line["address"] == "127.0.0.1"
    watched.counts({"publish": 1})


def test_a_last_will(watched):
    """CONNECT succeeds, and nobody tells the client."""
    command = ["mosquitto_sub", "-h", watched.broker.host, "-p", str(watched.broker.port)]
    command += ["-u", "pi", "-P", "secret", "-i", "board", "-t", "may/all"]
    with subprocess.Popen([*command, "--will-topic", "data/other", "--will-payload", "x"]) as child:
        connected = "New client connected"
        eventually(lambda: connected in watched.broker.process.stderr(), "the client is there")
        child.kill()
    assert watched.line(action="publish")["topic"] == "data/other"
    watched.counts({"publish": 1})


def test_subscribing(watched):
    assert not watched.subscribe("$share/ingest//data/+/batch")
    assert watched.line(action="subscribe")["topic"] == "$share/ingest//data/+/batch"
    watched.counts({"subscribe": 1})


def test_unsubscribing(watched):
    watched.client().unsubscribe("data/other")
    assert watched.line(action="unsubscribe")["topic"] == "data/other"
    watched.counts({"unsubscribe": 1})


def test_what_is_not_delivered(watched):
    client = watched.client()
    client.subscribe("may/#")
    client.publish("may/not/be/heard", "1")
    client.publish("may/all", "1")
    client.wait_message("may/all")
    assert client.messages("may/not/be/heard") == []
    assert watched.line(action="receive")["topic"] == "may/not/be/heard"
    watched.counts({"receive": 1})


@pytest.mark.parametrize(
    "name, password",
    [
        ("nobody", "secret"),
        ("pi", "guessed"),
        ("pi", None),
        ("disabled", "secret"),
        ("tied", "secret"),
        ("without", "secret"),
        (None, None),
    ],
)
def test_logins(watched, name, password):
    assert not watched.publish("may/all", name, password)
    line = watched.line(action="login")
    assert line["msg"] == "refused: login"
    assert (line.get("user"), line["address"]) == (name, "127.0.0.1")
    watched.counts({"login": 1})


def test_a_session_that_is_taken_over_is_no_refusal(watched):
    first = watched.lab.client(watched.broker, client_id="same", user="pi", password="secret")
    watched.publish("may/all", more=["-i", "same"])
    first.close()
    watched.counts({})
    assert watched.lines() == []


def test_a_rule_that_forbids_is_not_seen(watched):
    """Nobody is asked after it: this is why roles have rules that allow and no others."""
    assert not watched.publish("must/not")
    assert not watched.publish("$SYS/broker/version")
    assert not watched.publish("other")
    watched.counts({"publish": 1})


def test_a_flood_is_one_line_and_a_count(lab):
    """However many, and whatever they are about; the memory stays."""
    watched = Watched(lab)
    client = watched.client()
    client.publish("other", "1")
    before = peak_rss_kb(watched.broker.process.pid)
    for i in range(1, 20000):
        client.post(f"other/{i}", "1", qos=0)
    client.publish("may/all", "1")
    watched.counts({"publish": 20000})
    assert peak_rss_kb(watched.broker.process.pid) < before + 1024
    assert watched.line()["topic"] == "other"
    # What is unsaid when the broker stops is said then.
    client.close()
    watched.broker.process.terminate(10)
    first, last = watched.lines()
    assert last["msg"] == "refused: not among its rights, again"
    assert (last["count"], last["topic"]) == ("19999", "other/19999")


def test_after_a_period_a_line_says_how_many(lab):
    watched = Watched(lab, options=["log_period_s 1"])
    client = watched.client()
    for i in range(100):
        client.post(f"other/{i}", "1", qos=0)
    line = watched.line(msg="refused: not among its rights, again")
    watched.counts({"publish": 100})
    counted = eventually(
        lambda: sum(int(each.get("count", 1)) for each in watched.lines()) == 100, "all are said"
    )
    assert counted and line["user"] == "pi"


def test_addresses_without_number(lab):
    """64 of them have lines of their own, and those of known users are not among them."""
    watched = Watched(lab, host="0.0.0.0")
    watched.broker.host = "127.0.0.1"
    for i in range(80):
        watched.publish("may/all", "nobody", "x", more=["-A", f"127.0.1.{i + 1}"])
    for name in ("pi", "second"):
        watched.publish("other", name)
    watched.counts({"login": 80, "publish": 2})
    assert len(watched.lines(action="login")) == 65
    assert len(watched.lines(action="publish")) == 2
    watched.broker.process.terminate(10)
    last = watched.lines()[-1]
    assert last["msg"] == "refused: login, of several, the last" and last["count"] == "15"


ODD = [
    'quote" level=error msg="forged',
    "back\\slash\\",
    "per%s%n%cent",
    "a=b c",
    "24.8°C",
    "turned \u202e round",
    "long " + "x" * 60000,
]


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_odd_bytes_stay_within_their_value(watched, odd):
    """Topics, users and client ids are a stranger's."""
    assert not watched.publish(odd)
    assert not watched.publish("may/all", odd[:6000], "x", more=["-i", odd[:6000]])

    def raw():
        log = watched.broker.process.stderr()
        return [line[line.index("level=") :] for line in log.split("\n") if " level=warn svc" in line]

    eventually(lambda: len(raw()) >= 2, "two lines")
    lines = raw()
    assert len(lines) == 2 and all(len(line) < 800 and line.isascii() for line in lines)
    publish, login = [logfmt(line) for line in lines]
    assert set(publish) == {"level", "svc", "msg", "user", "client", "action", "topic", "address"}
    assert set(login) == set(publish) - {"topic"}
    assert publish["level"] == login["level"] == "warn"
    if odd.isascii() and len(odd) < 100:
        assert publish["topic"] == login["user"] == login["client"] == odd
    watched.counts({"publish": 1, "login": 1})


def test_a_broker_that_restarts_counts_anew(lab):
    """Nobody takes what was retained before for what is so now."""
    watched = Watched(lab, persistence=True)
    watched.publish("other")
    watched.counts({"publish": 1})
    watched.broker.process.terminate(10)
    watched.broker.start()
    watched.counts({})
    watched.publish("other")
    watched.counts({"publish": 1})
    assert len(watched.lines(action="publish")) == 2


def test_a_configuration_that_is_read_again(watched):
    watched.broker.process.child.send_signal(1)
    eventually(lambda: "Reloading" in watched.broker.process.stderr(), "it is read")
    watched.publish("other")
    watched.counts({"publish": 1})


@pytest.mark.parametrize("anonymous", [False, True])
@pytest.mark.parametrize("dynamic", [False, True])
def test_it_never_allows_anything(lab, dynamic, anonymous):
    """With it, nothing is allowed that is not allowed without it."""

    def allowed(plugin):
        broker = Watched(lab, dynamic, plugin, anonymous)
        found = set()
        for who in (("pi", "secret"), ("pi", "guessed"), ("nobody", "x"), (None, None)):
            for topic in ("may/all", "other", "must/not", "$CONTROL/x"):
                found |= {("publish", who, topic)} if broker.publish(topic, *who) else set()
                found |= {("subscribe", who, topic)} if broker.subscribe(topic, *who) else set()
        return found

    without, together = allowed(False), allowed(True)
    assert together <= without
    if dynamic:
        assert together == without != set()
    else:
        assert together == set()


@pytest.mark.parametrize(
    "option, said",
    [
        ("log_period_s 0", "plugin_opt_log_period_s is 0 and must be 1 to 86400"),
        ("log_period_s 1h", "plugin_opt_log_period_s is 1h and must be 1 to 86400"),
        ("stats_period_s 86401", "plugin_opt_stats_period_s is 86401 and must be 0 to 86400"),
        ("log_perod_s 60", "plugin_opt_log_perod_s is unknown"),
    ],
)
def test_bad_options(lab, option, said):
    broker = lab.broker(start=False, more=[f"plugin {PLUGIN}", f"plugin_opt_{option}"])
    broker.process.spawn()
    assert broker.process.wait_exit(30) != 0
    assert said in broker.process.stderr()


def test_loaded_twice(lab):
    broker = lab.broker(start=False, more=[f"plugin {PLUGIN}", f"plugin {PLUGIN}"])
    broker.process.spawn()
    assert broker.process.wait_exit(30) != 0
    assert "in the configuration twice" in broker.process.stderr()


def test_without_statistics(lab):
    """0 is never; the log goes on."""
    watched = Watched(lab, options=["stats_period_s 0"])
    client = watched.client()
    client.publish("other", "1")
    watched.line(action="publish")
    client.subscribe(STATS)
    client.subscribe("may/all")
    client.publish("may/all", "1")
    client.wait_message("may/all")
    assert client.messages(STATS) == []
