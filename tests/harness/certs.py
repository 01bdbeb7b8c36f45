"""A certificate authority and the certificates it issues, made by openssl for one test run."""

import subprocess
from pathlib import Path
from typing import NamedTuple

ALWAYS = ("19700101000000Z", "99991231235959Z")
ENDED = ("20200101000000Z", "20210101000000Z")
NOT_YET = ("21000101000000Z", "99991231235959Z")

SERVER = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=serverAuth"]
CLIENT = ["basicConstraints=critical,CA:FALSE", "extendedKeyUsage=clientAuth"]
HERE = "subjectAltName=IP:127.0.0.1,DNS:localhost"

# What `openssl ca` wants to know before it writes a list.
CA_CONFIG = """
[ca]
default_ca = it
[it]
database = {directory}/revoked.txt
default_md = sha256
"""


class Pair(NamedTuple):
    """The files of a certificate and its key."""

    cert: Path
    key: Path


class Certificates:
    """Files ca.pem, server.pem and server.key for localhost and an address; more by issue()."""

    def __init__(
        self, directory, address="127.0.0.1", name="dewpoint test authority", validity=None
    ):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.validity = validity
        self.ca = self.directory / "ca.pem"
        self.ca_key = self.directory / "ca.key"
        usage = ["keyUsage=critical,keyCertSign,cRLSign"]
        self._make(Pair(self.ca, self.ca_key), name, validity, usage)
        self.cert, self.key = self.server("server", f"subjectAltName=IP:{address},DNS:localhost")

    def server(self, name, hosts=HERE, validity=None):
        """A certificate for a broker on these hosts."""
        return self.issue(name, [*SERVER, hosts], validity)

    def files(self, pair=None):
        """The settings of a service that trusts this authority and shows this certificate."""
        settings = {"TLS_CA_FILE": self.ca}
        if pair is not None:
            settings.update(TLS_CERT_FILE=pair.cert, TLS_KEY_FILE=pair.key)
        return settings

    def client(self, name, validity=None):
        """A certificate of a node or a service."""
        return self.issue(name, CLIENT, validity)

    def issue(self, name, extensions, validity=None):
        """Files name.pem and name.key, for CN=name."""
        pair = Pair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        signed = ["-CA", self.ca, "-CAkey", self.ca_key]
        self._make(pair, name, validity or self.validity, extensions, signed)
        return pair

    def revocations(self, *pairs):
        """A list on which these are revoked."""
        config, crl = self.directory / "ca.conf", self.directory / "crl.pem"
        config.write_text(CA_CONFIG.format(directory=self.directory))
        (self.directory / "revoked.txt").touch()
        ca = ["openssl", "ca", "-config", config, "-cert", self.ca, "-keyfile", self.ca_key]
        for pair in pairs:
            _run([*ca, "-revoke", pair.cert])
        since, until = ALWAYS
        _run([*ca, "-gencrl", "-crl_lastupdate", since, "-crl_nextupdate", until, "-out", crl])
        return crl

    @staticmethod
    def _make(pair, name, validity, extensions, signed=()):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", *signed]
        command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", f"/CN={name}"]
        command += ["-out", pair.cert, "-keyout", pair.key]
        if validity is None:
            command += ["-days", "2"]
        else:
            command += ["-not_before", validity[0], "-not_after", validity[1]]
        for extension in extensions:
            command += ["-addext", extension]
        _run(command)


def _run(command):
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
