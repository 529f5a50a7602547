"""TLS contexts: which CAs are trusted for which host, and which client certificate is presented to it."""

from __future__ import annotations

import errno
import os
import ssl
import sys
import threading
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from dockless._files import open_regular
from dockless.errors import RegistryError
from dockless.registry.http.url_policy import DEFAULT_PORTS

_CA_FILE = "the CA file"
# SSL_OP_IGNORE_UNEXPECTED_EOF, which CPython 3.9 does not name.
_IGNORE_UNEXPECTED_EOF = 0x80
# Where docker and podman look for a registry's CA and client certificate (containers-certs.d(5)).
_CERTS_D = ("/etc/containers/certs.d", "/etc/docker/certs.d")
# Bytes. The CAs of all browsers have 220 kB.
_MAX_FILE = 16 * 1024 * 1024


class Trust:
    """The TLS context for each host and port.

    Trusted are the CAs of `ca_file` and those of certifi, so that a copy can read from Docker Hub and write to a
    private registry. Without `ca_file`: those of REQUESTS_CA_BUNDLE or SSL_CERT_FILE only; else those of
    `certs.d/REGISTRY/ca.crt` and certifi, also for the hosts that the registry refers to, such as its token server (as
    in podman). With `insecure`, the registry's own host and port are not verified, nor are those of `insecure_hosts`,
    such as its token server; all others are. `client.cert` and
    `client.key` of `certs.d` are presented to the registry's own host and port only. Raises RegistryError for a file
    that cannot be used.
    """

    def __init__(
        self,
        registry: str,
        insecure: bool,
        ca_file: str | None,
        environ: Mapping[str, str],
        *,
        insecure_hosts: Collection[str] = (),
    ) -> None:
        self._own = _split(registry)
        self._insecure_hosts = frozenset(map(_split, insecure_hosts))
        # Reading CAs takes 20 ms: each file is read once, certifi's only when needed, and none without TLS.
        self._contexts: dict[tuple[bool | str, bool], ssl.SSLContext] = {}
        # Contexts that trust only the CAs of a file so far.
        self._without_system_cas: list[ssl.SSLContext] = []
        self._needs_system_cas = False
        self._named_by: dict[str, str] = {}
        self._lock = threading.Lock()
        self._client_certificate = _find_in_certs_d("client.cert", registry, environ)
        self._verify_others = self._named_file(ca_file, environ)
        if self._verify_others is True and not insecure and (path := _find_in_certs_d("ca.crt", registry, environ)):
            self._verify_others = self._checked(path, _CA_FILE)
        self._verify_own: bool | str = False if insecure else self._verify_others

    def context(self, host: str, port: int) -> ssl.SSLContext:
        """Return the context for connections to a host and port. Raises RegistryError for an invalid PEM file."""
        # `insecure` allows HTTP on port 80 and HTTPS on port 443 for a registry without a port.
        is_own = (host, port) == self._own
        verify = self._verify_own if is_own else self._verify_others
        if (host, port) in self._insecure_hosts:
            verify = False
        key = (verify, is_own and bool(self._client_certificate))
        with self._lock:
            if key not in self._contexts:
                try:
                    context = _make_context(verify)
                except OSError as error:
                    # Only a file can cause one.
                    raise self._unusable(str(verify), error) from None
                if key[1]:
                    _load_client_certificate(context, self._client_certificate)
                if self._named_by.get(str(verify)) == _CA_FILE:
                    if self._needs_system_cas:
                        _load_system_cas(context)
                    else:
                        self._without_system_cas.append(context)
                self._contexts[key] = context
            return self._contexts[key]

    def add_system_cas(self) -> bool:
        """Trust certifi's CAs in addition to those of the CA file. Return False if there is no CA file."""
        with self._lock:
            contexts, self._without_system_cas = self._without_system_cas, []
            for context in contexts:
                _load_system_cas(context)
            self._needs_system_cas = True
            return _CA_FILE in self._named_by.values()

    def _named_file(self, ca_file: str | None, environ: Mapping[str, str]) -> bool | str:
        for path, named_by in (
            (ca_file, _CA_FILE),
            (environ.get("REQUESTS_CA_BUNDLE"), "REQUESTS_CA_BUNDLE"),
            (environ.get("SSL_CERT_FILE"), "SSL_CERT_FILE"),
        ):
            if path:
                return self._checked(path, named_by)
        return True

    def _checked(self, path: str, named_by: str) -> str:
        """Return `path` if it exists and looks like PEM: it is only parsed when TLS is used."""
        self._named_by[path] = named_by
        try:
            if os.path.isdir(path):
                _check_directory(path)
            elif b"-----BEGIN " not in _read(path):
                raise ssl.SSLError
        except OSError as error:
            raise self._unusable(path, error) from None
        return path

    def _unusable(self, path: str, error: OSError) -> RegistryError:
        # ssl.SSLError is an OSError.
        is_no_pem = isinstance(error, ssl.SSLError)
        cause = "the file contains no PEM certificate" if is_no_pem else error.strerror or str(error)
        return RegistryError(f"cannot use {self._named_by[path]} {path}", cause=cause, hint="name a PEM file")


def _split(host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname or "", parts.port or DEFAULT_PORTS["https"]


def _read(path: str) -> bytes:
    """Return the content of a file that OpenSSL is to read. Raises OSError."""
    with open_regular(path) as file:
        content = file.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        raise OSError(errno.EFBIG, f"the file is larger than {_MAX_FILE} bytes", path)
    return content


def _check_directory(path: str) -> None:
    """Raise OSError for a directory of CAs with a file that OpenSSL would wait for."""
    with os.scandir(path) as entries:
        for entry in entries:
            if os.path.exists(entry.path) and not (entry.is_file() or entry.is_dir()):
                raise OSError(errno.EINVAL, f"{entry.name} is not a regular file", path)


def _find_in_certs_d(name: str, registry: str, environ: Mapping[str, str]) -> str:
    """Return the path of a registry's file in certs.d, or an empty string."""
    own = os.path.join(environ["HOME"], ".config/containers/certs.d") if environ.get("HOME") else ""
    for directory in (own, *_CERTS_D):
        path = os.path.join(directory, registry, name)
        if directory and os.path.exists(path) and not os.path.isdir(path):
            return path
    return ""


def _make_context(verify: bool | str) -> ssl.SSLContext:
    """Return a context that trusts a PEM file or a directory of CAs, certifi's (True), or anything. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # CPython 3.10 and later set it: a connection that is cut would look like one that was closed.
    context.options &= ~_IGNORE_UNEXPECTED_EOF
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if verify is True:
        _load_system_cas(context)
    elif isinstance(verify, str):
        is_directory = os.path.isdir(verify)
        context.load_verify_locations(None if is_directory else verify, verify if is_directory else None)
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: str) -> None:
    """Load a client certificate and its key into `context`. Raises RegistryError."""
    key = certificate[: -len(".cert")] + ".key"
    try:
        for path in (certificate, key):
            _read(path)
        # An encrypted key is an error, not a prompt.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:
        is_no_pem = isinstance(error, ssl.SSLError)
        cause = "they are not a PEM certificate and its key" if is_no_pem else f"{error.strerror or error}"
        hint = "store both files in PEM format"
        raise RegistryError(f"cannot use {certificate} with {key}", cause=cause, hint=hint) from None


def _load_system_cas(context: ssl.SSLContext) -> None:
    import certifi

    context.load_verify_locations(certifi.where())
