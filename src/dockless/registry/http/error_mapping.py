"""Maps exceptions of requests, urllib3, http.client, ssl and socket to ours, with the cause and what to do.

The text of requests' and urllib3's errors is never used: it contains URLs, whose queries may be signed.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from urllib3.exceptions import HTTPError, NewConnectionError, ProxyError, ReadTimeoutError

from dockless.errors import DocklessError, printable
from dockless.registry.errors import ProtocolError, RegistryConnectionError
from dockless.registry.http.adapter import ProxySupportError, StaleConnectionError
from dockless.registry.http.minimum_rate import TransferTooSlowError
from dockless.registry.http.url_policy import origin_of, redact

Link = TypeVar("Link", bound=BaseException)

_TEMPORARY = "the registry, a proxy or the network has a problem; try again later"
_PROXY_VARIABLES = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"

# OpenSSL's words for handshakes that the peer rejects, and would reject again.
_HANDSHAKE_REJECTED = re.compile(
    "PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|HANDSHAKE_FAILURE|UNRECOGNIZED_NAME|CERTIFICATE_REQUIRED|BAD_CERTIFICATE"
    "|ALERT_UNKNOWN_CA|ALERT_CERTIFICATE|NO_APPLICATION_PROTOCOL|INSUFFICIENT_SECURITY|ALERT_ACCESS_DENIED"
)
# OpenSSL 3.2 and later use the second.
_NOT_TLS = re.compile("WRONG_VERSION_NUMBER|RECORD.LAYER.FAILURE", re.IGNORECASE)
# The words of http.client, urllib3 and StrictResponse for heads that are too large or contradictory.
_MALFORMED = re.compile("got more than|got an invalid|unmatching values|more than .* informational responses")
_TUNNEL_STATUS = re.compile(r"Tunnel connection failed: (\d{3})")


def translate(
    error: Exception, method: str, url: str, proxy: str | None = None, *, handled: BaseException | None = None
) -> DocklessError:
    """Return the exception to raise for `error`, with its `__cause__` set.

    A DocklessError in the chain of `error` is returned unchanged.

    `proxy` is the proxy that the request went through. `handled` is the exception that was being handled when the
    request began: Python adds it to the chain of `error`, but it is unrelated.
    """
    chain = _Chain(list(_links(error, handled)))
    translated = chain.first(DocklessError) or _translated(chain, f"{method} {redact(url)}", method, url, proxy)
    if translated.__cause__ is None:
        translated.__cause__ = chain.system_error()
    return translated


class _Chain(NamedTuple):
    """An exception and those that caused it, outermost first."""

    links: list[BaseException]

    def first(self, kind: type[Link]) -> Link | None:
        return next((link for link in self.links if isinstance(link, kind)), None)

    def has(self, *types: type[BaseException]) -> bool:
        return any(isinstance(link, types) for link in self.links)

    def tls_error(self, pattern: re.Pattern[str]) -> str:
        """Return the text of the TLS error that matches, or an empty string."""
        texts = (str(link) for link in self.links if isinstance(link, ssl.SSLError))
        return next((text for text in texts if pattern.search(text)), "")

    def text(self, pattern: re.Pattern[str]) -> str:
        """Return the text of the first exception that matches, or an empty string."""
        return next((text for text in map(str, self.links) if pattern.search(text)), "")

    def system_error(self) -> OSError | None:
        """Return the innermost error of the operating system or OpenSSL: its text holds no URL and no header."""
        for link in reversed(self.links):
            if isinstance(link, OSError) and type(link).__module__.partition(".")[0] not in ("requests", "urllib3"):
                return link
        return None


def _links(error: BaseException, handled: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    pending: list[BaseException] = [error]
    while pending and len(seen) < 30:
        link = pending.pop(0)
        if link not in seen:
            seen.append(link)
            yield link
            pending += [other for other in (link.__cause__, link.__context__) if other not in (None, handled)]  # type: ignore[misc]


def _translated(chain: _Chain, shown: str, method: str, url: str, proxy: str | None) -> DocklessError:
    if any(map(_is_invalid_header, chain.links)):
        return ProtocolError(shown, cause="a header contains characters that HTTP does not allow")
    failure = _proxy_failure(chain, url, proxy) or _tls_failure(chain, origin_of(url)[1])
    if failure is None and chain.has(NewConnectionError) and not chain.has(ConnectionResetError, BrokenPipeError):
        failure = _unconnected(chain, origin_of(url)[1])
    failure = failure or _interrupted(chain)
    if failure is not None:
        is_stale = failure.reason == "interrupted" and chain.has(StaleConnectionError)
        return RegistryConnectionError(
            shown, cause=failure.cause, hint=failure.hint, reason=failure.reason, method=method, is_stale=is_stale
        )
    malformed = chain.text(_MALFORMED)
    if malformed:
        hint = "the registry, or a proxy in front of it, must be fixed"
        return ProtocolError(f"{shown}: the response is not valid HTTP", cause=printable(malformed, 200), hint=hint)
    return RegistryConnectionError(shown, cause=_innermost(chain), method=method)


def _is_invalid_header(link: BaseException) -> bool:
    """Return whether http.client rejected a header, or latin-1 cannot encode the header."""
    return isinstance(link, UnicodeError) or (isinstance(link, ValueError) and "Invalid header" in str(link))


class _Failure(NamedTuple):
    """Why there is no response. `reason` is that of RegistryConnectionError."""

    cause: str
    hint: str
    reason: str = "interrupted"


def _proxy_failure(chain: _Chain, url: str, proxy: str | None) -> _Failure | None:
    if not proxy:
        return None
    label = f"the proxy {redact(proxy)}"
    if chain.has(ProxySupportError):
        return _Failure(f"{label} needs PySocks", "install PySocks, or use an HTTP proxy", "proxy")
    if not chain.has(ProxyError) and not (proxy.startswith("socks") and chain.has(NewConnectionError)):
        return None
    tunnel = _TUNNEL_STATUS.search(chain.text(_TUNNEL_STATUS))
    status = int(tunnel[1]) if tunnel else 0
    if status == 407:
        return _Failure(f"{label} requires a user name and password", "check those in HTTPS_PROXY", "proxy")
    certificate = chain.first(ssl.SSLCertVerificationError)
    if certificate is not None:
        failure = _certificate_failure(certificate, origin_of(proxy)[1], "the proxy's certificate")
        return failure._replace(cause=f"{label}: {failure.cause}")
    if 400 <= status < 500 and status not in (408, 429):
        hint = f"ask the operator of the proxy to allow {origin_of(url)[1]}, or add the host to NO_PROXY"
        return _Failure(f"{label} answered {status}", hint, "proxy")
    return _Failure(f"{label} cannot be reached, or refused the connection", _PROXY_VARIABLES, "unreachable")


def _tls_failure(chain: _Chain, host: str) -> _Failure | None:
    certificate = chain.first(ssl.SSLCertVerificationError)
    if certificate is not None:
        return _certificate_failure(certificate, host, "the server's certificate")
    if chain.tls_error(_NOT_TLS):
        hint = "pass `--insecure-registry HOST` (in Pants: `insecure` of the registry) to allow plain HTTP"
        return _Failure("the server does not speak TLS", hint, "plain http")
    rejection = chain.tls_error(_HANDSHAKE_REJECTED)
    if not rejection:
        return None
    if "PROTOCOL" in rejection and "APPLICATION" not in rejection:
        hint = "older versions are insecure, so the registry must be upgraded"
        return _Failure("the server does not support TLS 1.2 or later", hint, "certificate")
    if "CERTIFICATE" in rejection or "UNKNOWN_CA" in rejection or "ACCESS_DENIED" in rejection:
        hint = f"put client.cert and client.key into /etc/containers/certs.d/{host}[:PORT]"
        cause = "the server requires a client certificate, or rejected the one that was sent"
        return _Failure(cause, hint, "certificate")
    if "UNRECOGNIZED_NAME" in rejection:
        return _Failure(f"the server does not recognize the name {host}", "check the name", "certificate")
    hint = "the registry must allow TLS 1.2 or 1.3 with current ciphers"
    return _Failure("the server rejected all TLS versions and ciphers that were offered", hint, "certificate")


def _certificate_failure(error: BaseException, host: str, label: str) -> _Failure:
    message = (getattr(error, "verify_message", "") or str(error)).lower()
    if "expired" in message:
        cause, hint = f"{label} has expired", "check this machine's clock; otherwise the server needs a new certificate"
    elif "not yet valid" in message:
        cause, hint = f"{label} is not valid yet", "check this machine's clock"
    elif "mismatch" in message or "not valid for" in message or "doesn't match" in message:
        cause, hint = f"{label} is not for {host}", "check the name; the certificate must contain the name"
    elif "self-signed" in message or "self signed" in message or "unable to get" in message:
        cause, hint = f"{label} is not signed by a trusted CA", "pass the CA's certificate with --ca-file"
    else:
        cause = f"{label} cannot be verified: {printable(message, 100)}"
        hint = "pass the CA's certificate with --ca-file"
    return _Failure(cause, hint, "certificate")


def _unconnected(chain: _Chain, host: str) -> _Failure:
    if chain.has(socket.gaierror):
        return _Failure(f"cannot resolve host {host}", "check the name and the network", "unreachable")
    if chain.has(ConnectionRefusedError):
        return _Failure("connection refused", "check the port, and that the registry is running", "refused")
    error = chain.system_error()
    cause = (error.strerror if error else "") or "no connection"
    if _timed_out(chain):
        cause = "connecting timed out"
    return _Failure(cause, "check the network and the proxy", "unreachable")


def _interrupted(chain: _Chain) -> _Failure | None:
    too_slow = chain.first(TransferTooSlowError)
    if too_slow is not None:
        return _Failure(str(too_slow), _TEMPORARY)
    if _timed_out(chain):
        return _Failure("the response timed out", _TEMPORARY)
    if chain.has(ConnectionResetError, BrokenPipeError):
        return _Failure("the connection was reset", _TEMPORARY)
    if chain.has(http.client.IncompleteRead):
        return _Failure("the response was truncated", _TEMPORARY)
    return None


def _timed_out(chain: _Chain) -> bool:
    # Of urllib3's own only the one without a cause, when no time is left: NewConnectionError is a timeout to urllib3.
    return chain.has(TimeoutError, socket.timeout, ReadTimeoutError)


def _innermost(chain: _Chain) -> str:
    """Return the text of the innermost exception that is not urllib3's or requests', or else its type."""
    for link in reversed(chain.links):
        if not isinstance(link, HTTPError) and not type(link).__module__.startswith(("requests", "urllib3")):
            return printable(str(link) or type(link).__name__, 200)
    return type(chain.links[-1]).__name__
