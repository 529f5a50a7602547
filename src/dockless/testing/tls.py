"""A test certificate authority and a certificate for loopback names, created with `openssl`."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from dockless.errors import RegistryError

_AUTHORITY = (
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=dockless-test-ca"
    " -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign"
    " -keyout ca.key -out ca.crt"
)
_REQUEST = (
    "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr"
)
# Extensions that strict verifiers, such as Python 3.13, require (RFC 5280, 4.2).
_EXTENSIONS = """\
subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1
extendedKeyUsage=serverAuth
authorityKeyIdentifier=keyid
subjectKeyIdentifier=hash
"""
_SIGN = "x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile extensions -out server.crt"


def make_certificate(directory: Path) -> Path:
    """Write `ca.crt`, `server.crt` and `server.key` to `directory`, valid for localhost, 127.0.0.1 and ::1 for 30 days.

    Returns `ca.crt`, for a client to trust. Raises RegistryError without an `openssl` command.
    """
    (directory / "extensions").write_text(_EXTENSIONS)
    for command in (_AUTHORITY, _REQUEST, _SIGN):
        try:
            subprocess.run(["openssl", *command.split()], cwd=directory, check=True, capture_output=True)
        except FileNotFoundError:
            raise RegistryError("cannot make a certificate", hint="install the openssl command") from None
        except subprocess.CalledProcessError as error:
            raise RegistryError("cannot make a certificate", cause=error.stderr.decode(errors="replace")) from None
    return directory / "ca.crt"


def server_context(directory: Path) -> ssl.SSLContext:
    """Return the `tls` argument of Registry for the files of `make_certificate`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    return context
