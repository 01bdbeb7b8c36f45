"""Mutual TLS: readings travel over it, each of its faults has words of its own, files may be renewed."""

import os
import shutil

import pytest

from harness import BoardClock, Certificates, Ledger, eventually
from harness.broker import HOST, free_port
from harness.certs import ALWAYS, ENDED, HERE, NOT_YET
from harness.clock import BUILT_LONG_AGO_S
from harness.listener import Listener
from harness.service import run_service

# Not with ThreadSanitizer: see test_connection.py.


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("stranger"), name="a stranger")


@pytest.fixture(scope="module")
def node(ours):
    return ours.client("orangepi0")


def warnings(service, msg="cannot connect, trying again"):
    return [event["reason"] for event in service.events() if event.get("msg") == msg]


def says(service, *words):
    """Wait until health gives the reason in these words; it is in the log as well, once."""

    def told():
        code, line = service.health()
        assert code == 1 and all(word in line for word in words), line
        reasons = [reason for reason in warnings(service) if all(word in reason for word in words)]
        assert len(reasons) == 1, service.stderr()
        return line

    return eventually(told, f"{service.name} says {words}")


def attempts(service):
    return sum("waiting before the next attempt" in line for line in service.stderr().splitlines())


# ---- it works ----


@pytest.mark.parametrize("version", ["TLSv1.3", "TLSv1.2"])
def test_readings_travel_over_mutual_tls(lab, local, ours, node, version):
    """With a certificate that the broker asks for, every reading arrives once, with its values."""
    central = lab.broker(certificates=ours, mutual=True, newest_tls=version)
    centre = ours.files(ours.client("_ingest"))
    lab.ingest(central, **centre)
    lab.pruner(central, **centre)
    lab.publisher(local, central, **ours.files(node))
    sampler = lab.sampler(local, "bench=sim@42,count=300", PERIOD_MS=1)
    eventually(lambda: len(lab.database.readings()) == 300, "300 readings are stored")
    eventually(lambda: lab.database.rows() == Ledger(sampler.ledger_path).rows(), "with their values")


def test_a_board_in_1970_delivers(lab, local, tmp_path):
    """Certificates that are valid from 1970 to 9999 serve a board whose clock has not been set."""
    always = Certificates(tmp_path / "always", validity=ALWAYS)
    clock = BoardClock(lab.directory, wall_s=BUILT_LONG_AGO_S)
    central = lab.broker(certificates=always, mutual=True)
    lab.ingest(central, **always.files(always.client("_ingest")))
    node = always.files(always.client("orangepi0"))
    publisher = lab.publisher(
        local, central, CLOCK_FILE=clock.path, CLOCK_WAIT_MAX="1s", SPILL_AFTER_MS=300, **node
    )
    lab.sampler(local, "bench=sim@42,count=50", PERIOD_MS=2, CLOCK_FILE=clock.path)
    eventually(lambda: lab.database.count() == 50, "50 readings are stored")
    assert "this may be wrong" not in publisher.stderr()


# ---- what is wrong with the broker ----


def test_a_clock_of_1970_and_an_ordinary_certificate(lab, ours):
    """The words name the clock: it is what is wrong, and once it is right the service connects."""
    clock = BoardClock(lab.directory, wall_s=BUILT_LONG_AGO_S)
    broker = lab.broker(certificates=ours)
    sampler = lab.sampler(
        broker, "bench=sim@1", healthy=False, CLOCK_FILE=clock.path, **ours.files()
    )
    says(sampler, "is not valid before 20", "the clock here is not set: 1970-01-02")
    clock.set()
    sampler.wait_healthy()


def broker_fault(lab, ours, stranger, fault):
    """A broker with it, and what a client is to say."""
    if fault == "another host":
        pair = ours.server("elsewhere", "subjectAltName=DNS:broker.example.org,IP:192.0.2.1")
        words = ["is for broker.example.org, 192.0.2.1, not for 127.0.0.1"]
    elif fault == "unknown authority":
        pair = (stranger.cert, stranger.key)
        words = ["was issued by CN=a stranger", "no authority of TLS_CA_FILE", str(ours.ca)]
    elif fault == "ended":
        pair = ours.server("old", validity=ENDED)
        words = ["the broker's certificate (CN=old) has ended on 2021-01-01", "today is 20"]
    elif fault == "not yet valid":
        pair = ours.server("young", validity=NOT_YET)
        words = ["the broker's certificate (CN=young) is not valid before 2100-01-01", "today is 20"]
    else:
        pair = ours.issue("toaster", ["extendedKeyUsage=clientAuth", HERE])
        words = ["(CN=toaster) is not one for servers"]
    return lab.broker(certificates=ours, server=pair), words


@pytest.mark.parametrize(
    "fault", ["another host", "unknown authority", "ended", "not yet valid", "not for servers"]
)
def test_the_brokers_certificate(lab, ours, stranger, fault):
    """Whatever is wrong with it has its own words in health and log, said once; nothing is sent."""
    broker, words = broker_fault(lab, ours, stranger, fault)
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, **ours.files())
    says(sampler, str(broker.port), *words)
    eventually(lambda: attempts(sampler) >= 4, "it goes on trying")
    says(sampler, *words)
    assert "New client connected" not in broker.process.stderr()


def test_a_certificate_that_names_its_host_only_as_its_subject(lab, ours):
    """CN=127.0.0.1 without subjectAltName, as people make them by hand, is still for 127.0.0.1."""
    broker = lab.broker(certificates=ours, server=ours.issue("127.0.0.1", []))
    lab.sampler(broker, "bench=sim@1", **ours.files())


# ---- what the broker says of ours ----

VERSIONS = ["TLSv1.3", "TLSv1.2"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_broker_wants_a_certificate(lab, ours, version):
    broker = lab.broker(certificates=ours, mutual=True, newest_tls=version)
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, **ours.files())
    says(sampler, str(broker.port), "want", "a certificate", "TLS_CERT_FILE")


@pytest.mark.parametrize("version", VERSIONS)
def test_ours_is_revoked(lab, ours, version):
    pair = ours.client(f"revoked-{version}")
    broker = lab.broker(
        certificates=ours, mutual=True, revocations=ours.revocations(pair), newest_tls=version
    )
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, **ours.files(pair))
    says(sampler, f"the broker refuses our certificate (CN=revoked-{version}): it is revoked")


@pytest.mark.parametrize("version", VERSIONS)
def test_ours_is_of_another_authority(lab, ours, stranger, version):
    """It is said at the start already, but may be right: only the broker can tell."""
    broker = lab.broker(certificates=ours, mutual=True, newest_tls=version)
    pair = stranger.client("lost")
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, **ours.files(pair))
    says(sampler, "the broker refuses our certificate (CN=lost)", "does not know who issued it")
    said = warnings(sampler, "this may be wrong")
    assert len(said) == 1 and "it was issued by CN=a stranger, not by TLS_CA_FILE" in said[0]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "validity, words",
    [(ENDED, "it has ended on 2021-01-01"), (NOT_YET, "it is not valid before 2100-01-01")],
    ids=["ended", "not yet valid"],
)
def test_the_dates_of_ours(lab, ours, validity, words, version):
    """A publisher goes on collecting with it, as it may be renewed, or the clock wrong: it only says so."""
    broker = lab.broker(certificates=ours, mutual=True, newest_tls=version)
    pair = ours.client(f"dated-{version}", validity)
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, **ours.files(pair))
    says(sampler, "the broker refuses our certificate", words)
    said = warnings(sampler, "this may be wrong")
    assert len(said) == 1 and f"{words}, and today is 20" in said[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_ours_is_not_valid_yet_for_a_broker_in_1970(lab, ours, node, version):
    """Here it looks good: the words name the broker's clock."""
    clock = BoardClock(lab.directory, wall_s=BUILT_LONG_AGO_S)
    always = ours.server(f"always-{version}", validity=ALWAYS)
    broker = lab.broker(
        certificates=ours, server=always, mutual=True, newest_tls=version, clock=clock
    )
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, **ours.files(node))
    words = "bad or not valid yet (is the broker's clock right?)"
    says(sampler, "the broker refuses our certificate (CN=orangepi0)", words)
    assert not warnings(sampler, "this may be wrong")


# ---- a port for something else ----


def test_tls_at_a_port_without_it(lab, local, ours):
    url = f"mqtts://{HOST}:{local.port}"
    sampler = lab.sampler(local, "bench=sim@1", healthy=False, MQTT_URL=url, **ours.files())
    says(sampler, "no TLS connection", "for a port without it the address begins with mqtt://")


def test_no_tls_at_a_port_with_it(lab, ours):
    broker = lab.broker(certificates=ours)
    url = f"mqtt://{HOST}:{broker.port}"
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, MQTT_URL=url)
    says(sampler, "no answer to CONNECT", "for a port with TLS the address begins with mqtts://")


def answering(port, answer):
    """A server that answers to whatever comes with these bytes."""

    def serve(connection):
        connection.recv(4096)
        connection.sendall(answer)

    return Listener(port, serve)


@pytest.mark.parametrize(
    "scheme, answer, words",
    [
        ("mqtt", b"\x15\x03\x01\x00\x02\x02\x46", "the broker speaks TLS there"),
        ("mqtts", b"HTTP/1.1 400 Bad Request\r\n\r\n", "the answer is not TLS"),
        ("mqtts", b"\x15\x03\x01\x00\x02\x02\x46", "no version of TLS from 1.2 on"),
    ],
)
def test_what_other_servers_answer(lab, ours, scheme, answer, words):
    broker = lab.broker(start=False)
    server = answering(broker.port, answer)
    url = f"{scheme}://{HOST}:{broker.port}"
    sampler = lab.sampler(broker, "bench=sim@1", healthy=False, MQTT_URL=url, **ours.files())
    says(sampler, words)
    sampler.stop()
    server.close()


# ---- files ----


def bad_files(ours, stranger, node, tmp_path, fault):
    """Settings with one mistake, the setting that is to be named, and words."""
    garbage = tmp_path / "garbage"
    garbage.write_text("this is no certificate\n")
    settings = ours.files(node)
    if fault == "no key":
        return {**settings, "TLS_KEY_FILE": None}, "TLS_KEY_FILE", "both or neither"
    if fault == "no certificate":
        return {**settings, "TLS_CERT_FILE": None}, "TLS_CERT_FILE", "both or neither"
    if fault == "missing":
        return {**settings, "TLS_CERT_FILE": tmp_path / "none"}, "TLS_CERT_FILE", "No such file"
    if fault == "authority":
        return {**settings, "TLS_CA_FILE": garbage}, "TLS_CA_FILE", "holds no certificate"
    if fault == "exchanged":
        settings.update(TLS_CERT_FILE=node.key, TLS_KEY_FILE=node.cert)
        return settings, "TLS_CERT_FILE", "are the two files exchanged"
    settings["TLS_KEY_FILE"] = ours.client("other").key
    return settings, "TLS_KEY_FILE", f"is not the key of TLS_CERT_FILE ({node.cert})"


@pytest.mark.parametrize("service", ["sampler", "publisher", "ingest", "retention-pruner"])
@pytest.mark.parametrize(
    "fault", ["no key", "no certificate", "missing", "authority", "exchanged", "another key"]
)
def test_bad_files_stop_the_start(tmp_path, ours, stranger, node, fault, service):
    """Exit 78 and one line that names the setting, also by --check-config; nothing starts."""
    settings, name, words = bad_files(ours, stranger, node, tmp_path, fault)
    url = f"mqtts://{HOST}:{free_port()}"
    settings.update(RUN_DIR=tmp_path / "run", MQTT_URL=url, SENSORS="bench=sim@1")
    settings.update(NODE_NAME="orangepi0", UPSTREAM_URL=url)
    for arguments in [], ["--check-config"]:
        done = run_service(service, *arguments, **settings)
        assert done.returncode == 78, done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert f"name={name} " in done.stderr and words in done.stderr


def test_check_config_says_what_may_be_wrong(tmp_path, ours):
    """What the start says and goes on with, --check-config says as well, and is content."""
    old = ours.client("old-config", ENDED)
    os.chmod(old.key, 0o644)
    done = run_service(
        "sampler",
        "--check-config",
        SENSORS="bench=sim@1",
        MQTT_URL="mqtts://broker.example.org",
        **ours.files(old),
    )
    assert done.returncode == 0
    assert "it has ended on 2021-01-01" in done.stderr
    assert f"name=TLS_KEY_FILE value=\"{old.key}\" reason=\"mode 0644 lets every user" in done.stderr


def test_a_certificate_that_nothing_needs(tmp_path, ours, node):
    """Certificates with an address without TLS: somebody believes that it is encrypted."""
    settings = ours.files(node)
    done = run_service("sampler", "--check-config", SENSORS="bench=sim@1", **settings)
    assert done.returncode == 0 and "nothing is encrypted" in done.stderr


def put(pair, place):
    """Replace the files of the place by copies, each at once, as a renewal does."""
    for source, target in zip(pair, place):
        temporary = target.with_suffix(".new")
        shutil.copy(source, temporary)
        os.replace(temporary, target)


def test_files_are_renewed_while_the_service_runs(lab, ours, node, tmp_path):
    """A live connection is left alone; the next one has the new files, or says what is wrong with them."""
    place = type(node)(tmp_path / "node.pem", tmp_path / "node.key")
    put(node, place)
    renewed = ours.client("renewed")
    broker = lab.broker(certificates=ours, mutual=True)
    broker_log = broker.process.stderr
    sampler = lab.sampler(broker, "bench=sim@1", **ours.files(place))

    # Half of it: nothing happens, until the connection is lost.
    shutil.copy(renewed.cert, place.cert)
    sampler.wait_healthy()
    broker.kill()
    broker.start()
    says(sampler, f"TLS_KEY_FILE ({place.key}) is not the key of TLS_CERT_FILE ({place.cert})")
    place.key.unlink()
    says(sampler, f"TLS_KEY_FILE ({place.key}) cannot be read: No such file")
    assert sampler.running()

    # All of it.
    put(renewed, place)
    sampler.wait_healthy()
    assert sum(event["msg"] == "connected" for event in sampler.events()) == 2
    assert "New client connected" in broker_log()


def test_an_ended_certificate_is_renewed(lab, local, ours, tmp_path):
    """A publisher that starts with a certificate that has ended keeps the readings, and sends them once it is renewed."""
    place = type(ours.client("x"))(tmp_path / "node.pem", tmp_path / "node.key")
    put(ours.client("ended", ENDED), place)
    central = lab.broker(certificates=ours, mutual=True)
    lab.ingest(central, **ours.files(ours.client("_ingest")))
    publisher = lab.publisher(local, central, healthy=False, **ours.files(place))
    sampler = lab.sampler(local, "bench=sim@42,count=50", PERIOD_MS=2)
    says(publisher, "the broker refuses our certificate (CN=ended)")
    eventually(lambda: len(Ledger(sampler.ledger_path).accepted) == 50, "50 are accepted")
    put(ours.client("renewed"), place)
    eventually(lambda: lab.database.count() == 50, "50 readings are stored")
    publisher.wait_healthy()
