"""Exceptions of http.client, ssl and socket, as ours: the cause in a word, and whether to try again."""

from __future__ import annotations

import http.client
import socket
import ssl

from dockless.errors import DocklessError, printable
from dockless.registry.dial import NotConnected, ProxyFailed
from dockless.registry.errors import ConnectionFailed, Failure, Unexpected
from dockless.registry.hosts import origin_of, redact
from dockless.registry.pace import Stalled

# A host that is not there is mostly misnamed: two more tries are for a registry that is being restarted.
_ATTEMPTS_TO_REACH = 4
# What to do about what passed in none of the attempts.
_TROUBLE = "the registry, a proxy or the network has trouble: try again later"


def wrapped(
    error: Exception, method: str, url: str, proxy: str | None = None, *, handled: BaseException | None = None
) -> DocklessError:
    """What to raise for `error`. One of our own, of a body that was read while it was sent, passes through.

    `proxy` is the one that the request went through. `handled` is what was being handled when the request began: Python
    says of `error` that it came of that, but it has nothing to do with it.
    """
    shown = f"{method} {redact(url)}"
    host = origin_of(url)[1]
    chain = _chain(error, handled)
    text = " ".join(str(link) for link in chain)

    def failed(cause: str, hint: str = "", *, reason: str = "") -> Failure:
        return ConnectionFailed(
            shown,
            cause=cause,
            hint=hint,
            transient=reason not in ("certificate", "plain http"),
            attempts=_ATTEMPTS_TO_REACH if reason in ("unreachable", "refused") else 0,
            reason=reason,
        )

    if any(isinstance(link, DocklessError) for link in chain):
        return next(link for link in chain if isinstance(link, DocklessError))
    if any(_is_bad_header(link) for link in chain):
        return Unexpected(shown, cause="a header holds characters that HTTP forbids")
    if any(isinstance(link, ImportError) for link in chain) and proxy:
        cause = f"the proxy {redact(proxy)} needs PySocks"
        return ConnectionFailed(shown, cause=cause, hint="install it, or name an http proxy", transient=False)
    refused = next((link for link in chain if isinstance(link, ProxyFailed)), None)
    named = f"the proxy {redact(proxy or '')}"
    if refused is not None and refused.status == 407:
        cause = f"{named} wants a user and password"
        return ConnectionFailed(shown, cause=cause, hint="check those in HTTPS_PROXY", transient=False)
    certificate = next((link for link in chain if isinstance(link, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        cause, hint = _certificate_cause(certificate, origin_of(proxy or url)[1] if refused is not None else host)
        return failed(f"{named}: {cause}" if refused is not None else cause, hint, reason="certificate")
    if refused is not None:
        hint = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
        return failed(f"{named} refused, or is not there", hint, reason="unreachable")
    if any(isinstance(link, ssl.SSLError) for link in chain) and _not_tls(text):
        return failed("it speaks plain http, not https", "allow that for this registry (insecure)", reason="plain http")
    late = any(isinstance(link, (TimeoutError, socket.timeout)) for link in chain)
    reset = any(isinstance(link, (ConnectionResetError, BrokenPipeError)) for link in chain)
    if any(isinstance(link, NotConnected) for link in chain) and not reset:
        if any(isinstance(link, socket.gaierror) for link in chain):
            return failed(f"there is no host {host}", "check the name and the network", reason="unreachable")
        if any(isinstance(link, ConnectionRefusedError) for link in chain):
            return failed("connection refused", "check the port, and that the registry runs", reason="refused")
        told = next((link.strerror for link in chain if isinstance(link, OSError) and link.strerror), "no connection")
        cause = "no connection in time" if late else told
        return failed(cause, "check the network and the proxy", reason="unreachable")
    stalled = next((link for link in chain if isinstance(link, Stalled)), None)
    if stalled is not None:
        return failed(str(stalled), _TROUBLE)
    if late:
        return failed("no answer in time", _TROUBLE)
    if reset:
        return failed("the connection was reset", _TROUBLE)
    if any(isinstance(link, http.client.IncompleteRead) for link in chain):
        return failed("the answer was cut off", _TROUBLE)
    return failed(printable(str(chain[-1]) or type(chain[-1]).__name__, 200))


def _chain(error: BaseException, handled: BaseException | None) -> list[BaseException]:
    """The exception and what it was raised for, in order."""
    found: list[BaseException] = []
    todo: list[BaseException] = [error]
    while todo:
        link = todo.pop(0)
        if link in found or len(found) > 30:
            continue
        found.append(link)
        todo += [other for other in (link.__cause__, link.__context__) if other is not None and other is not handled]
    return found


def _is_bad_header(link: BaseException) -> bool:
    """Of http.client's own check, and of what latin-1 cannot say."""
    return isinstance(link, UnicodeError) or (isinstance(link, ValueError) and "Invalid header" in str(link))


def _not_tls(text: str) -> bool:
    """OpenSSL 3.2 and later call it another name."""
    return "WRONG_VERSION_NUMBER" in text or "RECORD_LAYER_FAILURE" in text.upper().replace(" ", "_")


def _certificate_cause(error: ssl.SSLCertVerificationError, host: str) -> tuple[str, str]:
    """The cause, and what to do."""
    said = (error.verify_message or str(error)).lower()
    if "expired" in said:
        return "its certificate has expired", "check this machine's clock; then the registry needs a new one"
    if "not yet valid" in said:
        return "its certificate is not valid yet", "check this machine's clock"
    if "mismatch" in said or "not valid for" in said or "doesn't match" in said:
        return f"its certificate is not for {host}", "check the name; the certificate must hold it"
    if "self-signed" in said or "self signed" in said or "unable to get" in said:
        return "its certificate is signed by nobody that is trusted here", "name its CA with --ca-file"
    return f"its certificate cannot be verified: {printable(said, 100)}", "name its CA with --ca-file"
