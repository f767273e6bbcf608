"""nginx with the very configuration that docs/operators.md shows, on ports of its own and a certificate of a day."""

from __future__ import annotations

import datetime
import ipaddress
import os
import re
import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING, Self

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.stack import ROOT, free_port, wait_until

if TYPE_CHECKING:
    from pathlib import Path

SHOWN_AS = "/etc/nginx/conf.d/latchkey.conf"


def program() -> str | None:
    """Return nginx, None where it is not installed. Debian keeps it where an ordinary user does not look."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def shown() -> str:
    """Return the configuration as docs/operators.md shows it."""
    page = (ROOT / "docs" / "operators.md").read_text()
    found = re.search(rf"^`{re.escape(SHOWN_AS)}`:\n\n```nginx\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/operators.md does not show {SHOWN_AS}"
    return found[1]


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for this machine that nobody trusts, and return it and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]), False)  # noqa: FBT003
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)  # noqa: FBT003
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "tls.pem", folder / "tls.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.touch(mode=0o600)
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


class Proxy:
    """A running nginx in front of one port. Its address is known before it runs, for PUBLIC_ORIGIN."""

    def __init__(self, folder: Path) -> None:
        """Choose the ports."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port, self.plain_port = free_port(), free_port()
        self.origin = f"https://127.0.0.1:{self.port}"
        self.access_log, self.error_log = folder / "access.log", folder / "error.log"
        # Where the site writes the pages that nginx shows by itself.
        self.errors = folder / "errors"
        self.process: subprocess.Popen[bytes] | None = None

    def configuration(self, web: int) -> str:
        """Return what nginx reads: the page's lines, with this machine's ports, names and files in them."""
        pem, key = certificate(self.folder)
        text = shown()
        for theirs, ours in (
            ("listen 80;", f"listen 127.0.0.1:{self.plain_port};"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;"),
            # Where the plain port sends people: ours is not the one that goes without saying.
            ("https://$host$request_uri", f"https://$host:{self.port}$request_uri"),
            ("/etc/ssl/login.example.org.pem", str(pem)),
            ("/etc/ssl/login.example.org.key", str(key)),
            ("server_name login.example.org;", "server_name 127.0.0.1;"),
            ("/var/log/nginx/latchkey.log", str(self.access_log)),
            ("/srv/latchkey-errors", str(self.errors)),
            ("http://127.0.0.1:8000", f"http://127.0.0.1:{web}"),
        ):
            assert theirs in text, theirs
            text = text.replace(theirs, ours)
        places = "".join(
            f"    {kind}_temp_path {self.folder / kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        return (
            f"{user}daemon off;\nworker_processes 1;\npid {self.folder / 'nginx.pid'};\nerror_log {self.error_log};\n"
            f"events {{ worker_connections 8192; }}\nhttp {{\n    access_log off;\n{places}{text}}}\n"
        )

    def start(self, web: int) -> Self:
        """Start it in front of a port, and wait until it answers."""
        path = self.folder / "nginx.conf"
        path.write_text(self.configuration(web))
        nginx = program()
        assert nginx, "nginx is not installed"
        self.process = subprocess.Popen([nginx, "-p", self.folder, "-e", self.error_log, "-c", path])
        wait_until(self.answers, 20, f"nginx does not answer; see {self.error_log}")
        return self

    def answers(self) -> bool:
        """Tell whether a visitor gets through."""
        try:
            return httpx.get(f"{self.origin}/healthz", verify=False, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End it."""
        if self.process:
            self.process.terminate()
            self.process.wait(10)


def unchecked() -> ssl.SSLContext:
    """Return a client's side of TLS that takes our certificate of a day."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
