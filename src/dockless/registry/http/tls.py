"""Whose certificates are trusted, and for which host."""

from __future__ import annotations

import os
import ssl
import sys
import threading
from collections.abc import Mapping

from dockless.errors import RegistryError
from dockless.registry.http.url_policy import split_host

# Where docker and podman look for a registry's own CA (containers-certs.d(5)).
_OURS = "the CA file"
_CERTS_D = ("/etc/containers/certs.d", "/etc/docker/certs.d")


class Trust:
    """What TLS is to be checked by, for each host.

    `ca_file` beside the usual CAs, which are certifi's, so that a copy may lead from Docker Hub to a private registry;
    else REQUESTS_CA_BUNDLE, else SSL_CERT_FILE, in their stead; else `certs.d/REGISTRY/ca.crt` beside them, also for
    where that registry leads, as to its token server (as with podman). With `insecure`, the registry's own host is not
    checked; all others are. The registry's own host is shown `client.cert` (with `client.key`) of the same folder.
    Raises RegistryError for a file that is not there or holds no CA.
    """

    def __init__(self, registry: str, insecure: bool, ca_file: str | None, environ: Mapping[str, str]) -> None:
        self._host = split_host(registry)
        # To read CAs takes 20 ms: once, and not where nobody speaks TLS, nor the usual ones where a file's are enough.
        self._contexts: dict[tuple[bool | str, bool], ssl.SSLContext] = {}
        # Made with a file's CAs alone, until these are not enough somewhere.
        self._narrow: list[ssl.SSLContext] = []
        self._has_system_cas = False
        self._named_by: dict[str, str] = {}
        self._lock = threading.Lock()
        self._client_certificate = self._in_certs_d("client.cert", registry, environ)
        self._of_all = self._named(ca_file, environ)
        if self._of_all is True and not insecure and (own := self._in_certs_d("ca.crt", registry, environ)):
            self._of_all = self._checked(own, _OURS)
        self._of_registry: bool | str = False if insecure else self._of_all

    def context(self, host: str) -> ssl.SSLContext:
        """What connections to a host are made with, all with the same. Raises RegistryError for what is no PEM."""
        own = host == self._host
        verify = self._of_registry if own else self._of_all
        # Who we are is shown to nobody else.
        key = (verify, own and bool(self._client_certificate))
        with self._lock:
            if key not in self._contexts:
                try:
                    made = _context(verify)
                except OSError as error:
                    # Of the usual ones and of none there is no such error.
                    raise self._unusable(str(verify), error) from None
                if key[1]:
                    _show(made, self._client_certificate)
                if self._named_by.get(str(verify)) == _OURS:
                    if self._has_system_cas:
                        _load_system_cas(made)
                    else:
                        self._narrow.append(made)
                self._contexts[key] = made
            return self._contexts[key]

    def add_system_cas(self) -> bool:
        """Adds the usual CAs to those of a file, for a host that these do not vouch for. False: there is no file."""
        with self._lock:
            narrow, self._narrow = self._narrow, []
            for context in narrow:
                _load_system_cas(context)
            self._has_system_cas = True
            return _OURS in self._named_by.values()

    def _named(self, ca_file: str | None, environ: Mapping[str, str]) -> bool | str:
        for path, named_by in (
            (ca_file, _OURS),
            (environ.get("REQUESTS_CA_BUNDLE"), "REQUESTS_CA_BUNDLE"),
            (environ.get("SSL_CERT_FILE"), "SSL_CERT_FILE"),
        ):
            if path:
                return self._checked(path, named_by)
        return True

    def _in_certs_d(self, name: str, registry: str, environ: Mapping[str, str]) -> str:
        own = os.path.join(environ["HOME"], ".config/containers/certs.d") if environ.get("HOME") else ""
        for folder in (own, *_CERTS_D):
            path = os.path.join(folder, registry, name)
            if folder and os.path.isfile(path):
                return path
        return ""

    def _checked(self, path: str, named_by: str) -> str:
        """`path`, which is there and looks like PEM: what else is wrong is seen when TLS is spoken."""
        self._named_by[path] = named_by
        try:
            if not os.path.isdir(path):
                with open(path, "rb") as file:
                    if b"-----BEGIN " not in file.read():
                        raise ssl.SSLError
        except OSError as error:
            raise self._unusable(path, error) from None
        return path

    def _unusable(self, path: str, error: OSError) -> RegistryError:
        # ssl.SSLError is an OSError: what PEM does not hold is told apart.
        no_pem = isinstance(error, ssl.SSLError)
        cause = "it holds no PEM certificate" if no_pem else error.strerror or str(error)
        return RegistryError(f"cannot use {self._named_by[path]} {path}", cause=cause, hint="name a PEM file")


def _context(verify: bool | str) -> ssl.SSLContext:
    """`verify`: a PEM file or a folder of CAs, True for the usual ones, or False. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if verify is True:
        _load_system_cas(context)
    elif isinstance(verify, str):
        in_folder = os.path.isdir(verify)
        context.load_verify_locations(None if in_folder else verify, verify if in_folder else None)
    return context


def _show(context: ssl.SSLContext, certificate: str) -> None:
    """Raises RegistryError."""
    key = certificate[: -len(".cert")] + ".key"
    try:
        # A key that wants a password is an error, not a question.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:
        no_pem = isinstance(error, ssl.SSLError)
        cause = "they are no PEM certificate and its key" if no_pem else f"{error.strerror or error}"
        raise RegistryError(
            f"cannot use {certificate} with {key}", cause=cause, hint="put both there, in PEM"
        ) from None


def _load_system_cas(context: ssl.SSLContext) -> None:
    import certifi

    context.load_verify_locations(certifi.where())
