"""Whose certificates are trusted, and for which host."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Mapping

from dockless.errors import RegistryError
from dockless.registry.hosts import split_host

# Where docker and podman look for a registry's own CA (containers-certs.d(5)).
_CERTS_D = ("/etc/containers/certs.d", "/etc/docker/certs.d")


class Trust:
    """What TLS is to be checked by, for each host.

    `ca_file`, else REQUESTS_CA_BUNDLE, else SSL_CERT_FILE; else `certs.d/REGISTRY/ca.crt` for the registry's own host;
    else certifi's. With `insecure`, the registry's own host is not checked; all others are.
    Raises RegistryError for a file that is not there or holds no CA.
    """

    def __init__(self, registry: str, insecure: bool, ca_file: str | None, environ: Mapping[str, str]) -> None:
        self._host = split_host(registry)
        self._of_all = _named(ca_file, environ)
        self._of_registry: bool | str = self._of_all
        if insecure:
            self._of_registry = False
        elif self._of_all is True:
            self._of_registry = _certs_d(registry, environ) or True

    def verify(self, host: str) -> bool | str:
        """A PEM file, a folder of CAs, True for the usual ones, or False."""
        return self._of_registry if host == self._host else self._of_all


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """What `Trust.verify` says, for all connections: to read the usual CAs takes 30 ms."""
    context = _Shared(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_protocols()
    if sys.version_info >= (3, 13):
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if verify is True:
        import certifi

        verify = certifi.where()
    folder = os.path.isdir(verify)
    context.load_verify_locations(capath=verify if folder else None, cafile=None if folder else verify)
    return context


class _Shared(ssl.SSLContext):
    """urllib3 sets the protocols at each connection, which others that begin meanwhile would read half-set."""

    def set_protocols(self) -> None:
        super().set_alpn_protocols(["http/1.1"])

    def set_alpn_protocols(self, alpn_protocols: object) -> None:
        pass


def _named(ca_file: str | None, environ: Mapping[str, str]) -> bool | str:
    for path, named_by in (
        (ca_file, "the CA file"),
        (environ.get("REQUESTS_CA_BUNDLE"), "REQUESTS_CA_BUNDLE"),
        (environ.get("SSL_CERT_FILE"), "SSL_CERT_FILE"),
    ):
        if path:
            return path if os.path.isdir(path) else _checked(path, named_by)
    return True


def _certs_d(registry: str, environ: Mapping[str, str]) -> str:
    own = os.path.join(environ["HOME"], ".config/containers/certs.d") if environ.get("HOME") else ""
    for folder in (own, *_CERTS_D):
        path = os.path.join(folder, registry, "ca.crt")
        if folder and os.path.isfile(path):
            return _checked(path, "the CA file")
    return ""


def _checked(path: str, named_by: str) -> str:
    try:
        # Bundles have comments in any encoding between their certificates.
        with open(path, encoding="ascii", errors="ignore") as file:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=file.read())
    except OSError as error:
        # ssl.SSLError is an OSError: what PEM does not hold is told apart by having no file name.
        cause = (error.strerror or str(error)) if error.filename else "it holds no PEM certificate"
    except ValueError:
        cause = "it holds no PEM certificate"
    else:
        return path
    raise RegistryError(f"cannot use {named_by} {path}", cause=cause, hint="name a PEM file")
