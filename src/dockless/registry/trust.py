"""Whose certificates are trusted, and for which host."""

from __future__ import annotations

import os
import ssl
import sys
import threading
from collections.abc import Mapping

from dockless.errors import RegistryError
from dockless.registry.hosts import split_host

# Where docker and podman look for a registry's own CA (containers-certs.d(5)).
_OURS = "the CA file"
_CERTS_D = ("/etc/containers/certs.d", "/etc/docker/certs.d")


class Trust:
    """What TLS is to be checked by, for each host.

    `ca_file` beside the usual CAs, which are certifi's, so that a copy may lead from Docker Hub to a private registry;
    else REQUESTS_CA_BUNDLE, else SSL_CERT_FILE, in their stead; else, for the registry's own host,
    `certs.d/REGISTRY/ca.crt` beside them. With `insecure`, the registry's own host is not checked; all others are.
    Raises RegistryError for a file that is not there or holds no CA.
    """

    def __init__(self, registry: str, insecure: bool, ca_file: str | None, environ: Mapping[str, str]) -> None:
        self._host = split_host(registry)
        # To read CAs takes 20 ms: once, and not where nobody speaks TLS, nor the usual ones where a file's are enough.
        self._contexts: dict[bool | str, ssl.SSLContext] = {}
        self._lack_the_usual: set[str] = set()
        self._named_by: dict[str, str] = {}
        self._lock = threading.Lock()
        self._of_all = self._named(ca_file, environ)
        self._of_registry: bool | str = self._of_all
        if insecure:
            self._of_registry = False
        elif self._of_all is True:
            self._of_registry = self._certs_d(registry, environ) or True

    def context(self, host: str) -> ssl.SSLContext:
        """What connections to a host are made with, all with the same. Raises RegistryError for what is no PEM."""
        verify = self._of_registry if host == self._host else self._of_all
        with self._lock:
            if verify not in self._contexts:
                try:
                    self._contexts[verify] = _context(verify)
                except OSError as error:
                    # Of the usual ones and of none there is no such error.
                    raise self._unusable(str(verify), error) from None
            return self._contexts[verify]

    def widen(self) -> bool:
        """Adds the usual CAs to those of a file, for a host that these do not vouch for. False: there is no file."""
        with self._lock:
            for path in self._lack_the_usual.intersection(self._contexts):
                _add_the_usual(self._contexts[path])
                self._lack_the_usual.remove(path)
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

    def _certs_d(self, registry: str, environ: Mapping[str, str]) -> str:
        own = os.path.join(environ["HOME"], ".config/containers/certs.d") if environ.get("HOME") else ""
        for folder in (own, *_CERTS_D):
            path = os.path.join(folder, registry, "ca.crt")
            if folder and os.path.isfile(path):
                return self._checked(path, _OURS)
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
        if named_by == _OURS:
            self._lack_the_usual.add(path)
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
        _add_the_usual(context)
    elif isinstance(verify, str):
        in_folder = os.path.isdir(verify)
        context.load_verify_locations(None if in_folder else verify, verify if in_folder else None)
    return context


def _add_the_usual(context: ssl.SSLContext) -> None:
    import certifi

    context.load_verify_locations(certifi.where())
