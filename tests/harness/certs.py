"""A certificate authority and a server certificate, made by openssl for one test run."""

import subprocess
from pathlib import Path


class Certificates:
    """Files ca.pem, server.pem and server.key for localhost and an address."""

    def __init__(self, directory, address="127.0.0.1"):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ca = self.directory / "ca.pem"
        self.cert = self.directory / "server.pem"
        self.key = self.directory / "server.key"
        ca_key = self.directory / "ca.key"
        self._make(self.ca, ca_key, "/CN=dewpoint test authority", [])
        self._make(
            self.cert,
            self.key,
            f"/CN={address}",
            ["-CA", self.ca, "-CAkey", ca_key]
            + ["-addext", f"subjectAltName=IP:{address},DNS:localhost"]
            + ["-addext", "basicConstraints=critical,CA:FALSE"],
        )

    @staticmethod
    def _make(cert, key, subject, extra):
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
        command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", subject]
        command += ["-out", cert, "-keyout", key] + extra
        subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=30)
