"""A PostgreSQL beyond the stack, over TLS with `sslmode=verify-full`: its certificate has to be of
our authority and for its name, ours has to be the role's; any other server gets no reading."""

import os
import shutil

import pytest

from harness import Certificates, Peer, eventually
from harness.peer import new_stream
from harness.postgres import USER

# Whoever speaks TLS shows a certificate with the role's name; the harness looks in without.
RULES = """
hostssl all all 127.0.0.1/32 cert
hostnossl all all 127.0.0.1/32 trust
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("authority"))


def server(lab, authority, pair):
    """The lab's PostgreSQL, with this certificate."""
    files = lab.directory / "server"
    files.mkdir()
    for path, name in ((pair.cert, "crt"), (pair.key, "key"), (authority.ca, "ca")):
        shutil.copy(path, files / name)
        os.chmod(files / name, 0o600)
    names = {"ssl_cert_file": "crt", "ssl_key_file": "key", "ssl_ca_file": "ca"}
    settings = ["ssl=on", *(f"{setting}={files / name}" for setting, name in names.items())]
    postgres = lab.use_postgres(start=False, settings=settings)
    (postgres.data / "pg_hba.conf").write_text(RULES, encoding="utf-8")
    return postgres.start()


def ingest(lab, central, postgres, authority, client, **options):
    query = {"sslrootcert": authority.ca, "sslcert": client.cert, "sslkey": client.key}
    words = "&".join(f"{name}={value}" for name, value in query.items())
    url = f"postgresql://{USER}@localhost:{postgres.port}/dewpoint?sslmode=verify-full&{words}"
    return lab.ingest(central, STORE_URL=url, **options)


def test_stored_over_tls(lab, central, authority):
    postgres = server(lab, authority, authority.server("db"))
    ingest(lab, central, postgres, authority, authority.client(USER))
    peer = Peer(lab.client(central))
    stream = new_stream()
    assert peer.batch(stream, 1, 3)["stored"] == [[stream, 1, 3]]
    assert lab.database.count() == 3
    version = "SELECT version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl"
    assert {row[0] for row in postgres.execute(version)} == {"TLSv1.3"}


def test_others_get_nothing(lab, central, authority, tmp_path):
    """Another name, another authority, another role: the health says which, nothing is answered."""
    elsewhere = authority.server("elsewhere", hosts="subjectAltName=DNS:elsewhere.example")
    postgres = server(lab, authority, elsewhere)
    stranger = Certificates(tmp_path / "stranger")
    ours = authority.client(USER)
    for trusted, client, words in (
        (authority, ours, "does not match host name"),
        (stranger, ours, "certificate verify failed"),
    ):
        service = ingest(lab, central, postgres, trusted, client, healthy=False)
        eventually(lambda s=service, w=words: w in s.health()[1], f"the health says: {words}")
        assert service.health()[0] != 0
        service.kill()
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_another_role_is_refused(lab, central, authority):
    postgres = server(lab, authority, authority.server("db2"))
    service = ingest(lab, central, postgres, authority, authority.client("somebody"), healthy=False)
    words = f"certificate authentication failed for user '{USER}'"
    eventually(lambda: words in service.health()[1], "the server refuses it, and the health says so")
    assert postgres.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
