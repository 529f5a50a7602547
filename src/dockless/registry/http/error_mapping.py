"""Exceptions of http.client, ssl and socket, as ours: the cause in a word, and whether to try again."""

from __future__ import annotations

import http.client
import re
import socket
import ssl

from dockless.errors import DocklessError, printable
from dockless.registry.errors import ConnectionFailed, Failure, Unexpected
from dockless.registry.http.dial import NotConnected, ProxyFailed
from dockless.registry.http.minimum_rate import Stalled
from dockless.registry.http.url_policy import origin_of, redact

# A host that is not there is mostly misnamed: two more tries are for a registry that is being restarted.
_ATTEMPTS_TO_REACH = 4
# What to do about what passed in none of the attempts.
_TROUBLE = "the registry, a proxy or the network has trouble: try again later"

# What a handshake ends with, and each one after it, in OpenSSL's words.
_PEERS_WORD = re.compile(
    "PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|HANDSHAKE_FAILURE|UNRECOGNIZED_NAME|CERTIFICATE_REQUIRED|BAD_CERTIFICATE"
    "|ALERT_UNKNOWN_CA|ALERT_CERTIFICATE|NO_APPLICATION_PROTOCOL|INSUFFICIENT_SECURITY|ALERT_ACCESS_DENIED"
)
# What http.client and we say of heads that are too large or contradict themselves.
_NO_HTTP = re.compile("got more than|two lengths|more than .* interim answers")


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
            method=method,
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
    if refused is not None and 400 <= refused.status < 500 and refused.status not in (408, 429):
        hint = f"ask who runs it to allow {host}, or put it into NO_PROXY"
        return ConnectionFailed(shown, cause=f"{named} answered {refused.status}", hint=hint, transient=False)
    if refused is not None:
        hint = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
        return failed(f"{named} refused, or is not there", hint, reason="unreachable")
    if any(isinstance(link, ssl.SSLError) for link in chain) and _not_tls(text):
        return failed("it speaks plain http, not https", "allow that for this registry (insecure)", reason="plain http")
    handshake = next((link for link in chain if isinstance(link, ssl.SSLError) and _PEERS_WORD.search(str(link))), None)
    if handshake is not None:
        cause, hint = _handshake_cause(str(handshake), host)
        return failed(cause, hint, reason="certificate")
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
    if any(isinstance(link, http.client.HTTPException) and _NO_HTTP.search(str(link)) for link in chain):
        hint = "the registry, or a proxy before it, has to be mended"
        return Unexpected(f"{shown}: the answer is not as HTTP wants it", cause=printable(text, 200), hint=hint)
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


def _handshake_cause(said: str, host: str) -> tuple[str, str]:
    """The cause, and what to do."""
    if "PROTOCOL" in said and "APPLICATION" not in said:
        return "it speaks no TLS of 1.2 or later", "older ones are not safe: the registry has to be mended"
    if "CERTIFICATE" in said or "UNKNOWN_CA" in said or "ACCESS_DENIED" in said:
        return (
            "it wants a certificate of ours, or takes it not for one",
            f"put client.cert and client.key into /etc/containers/certs.d/{host}[:PORT]",
        )
    if "UNRECOGNIZED_NAME" in said:
        return f"it is not {host} by its own account", "check the name"
    return "it refuses the TLS that is spoken here", "the registry has to allow TLS 1.2 or 1.3 with today's ciphers"


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
