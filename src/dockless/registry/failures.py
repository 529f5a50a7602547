"""Exceptions of urllib3, http, ssl and socket, as ours: the cause in a word, and whether to try again."""

from __future__ import annotations

import ssl

from dockless.errors import DocklessError, printable
from dockless.registry.errors import ConnectionFailed, Failure, Unexpected
from dockless.registry.hosts import origin_of, redact
from dockless.registry.pace import Stalled

# A host that is not there is mostly misnamed: two more tries are for a registry that is being restarted.
_ATTEMPTS_TO_REACH = 4


def wrapped(error: Exception, method: str, url: str, proxy: str | None = None) -> DocklessError:
    """What to raise for `error`. One of our own, of a body that was read while it was sent, passes through.

    `proxy` is the one that the request went through.
    """
    import urllib3

    shown = f"{method} {redact(url)}"
    host = origin_of(url)[1]
    chain = _chain(error)
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
    if any(isinstance(link, urllib3.exceptions.ProxyError) for link in chain):
        named = redact(proxy or "")
        if "failed: 407" in text:
            cause = f"the proxy {named} wants a user and password"
            return ConnectionFailed(shown, cause=cause, hint="check those in HTTPS_PROXY", transient=False)
        hint = "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
        return failed(f"the proxy {named} refused, or is not there", hint, reason="unreachable")
    if any(isinstance(link, ImportError) for link in chain) and proxy:
        cause = f"the proxy {redact(proxy)} needs PySocks"
        return ConnectionFailed(shown, cause=cause, hint="install it, or name an http proxy", transient=False)
    certificate = next((link for link in chain if isinstance(link, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        return failed(*_certificate_cause(certificate, host), reason="certificate")
    if any(isinstance(link, ssl.SSLError) for link in chain) and _not_tls(text):
        return failed("it speaks plain http, not https", "allow that for this registry (insecure)", reason="plain http")
    if any(isinstance(link, urllib3.exceptions.NameResolutionError) for link in chain) or "Name or service" in text:
        return failed(f"there is no host {host}", "check the name and the network", reason="unreachable")
    if any(isinstance(link, ConnectionRefusedError) for link in chain):
        return failed("connection refused", "check the port, and that the registry runs", reason="refused")
    connecting = next((link for link in chain if isinstance(link, urllib3.exceptions.ConnectTimeoutError)), None)
    # For urllib3 every error of a connect is one of time, too.
    new = isinstance(connecting, urllib3.exceptions.NewConnectionError)
    if connecting is not None and (not new or any(isinstance(link, TimeoutError) for link in chain)):
        return failed("no connection in time", "check the network and the proxy", reason="unreachable")
    reset = any(isinstance(link, (ConnectionResetError, BrokenPipeError)) for link in chain)
    if new and not reset:
        cause = next((link.strerror for link in chain if isinstance(link, OSError) and link.strerror), "no connection")
        return failed(cause, "check the network and the proxy", reason="unreachable")
    stalled = next((link for link in chain if isinstance(link, Stalled)), None)
    if stalled is not None:
        return failed(str(stalled))
    if any(isinstance(link, (urllib3.exceptions.ReadTimeoutError, TimeoutError)) for link in chain):
        return failed("no answer in time")
    if reset:
        return failed("the connection was reset")
    if any(isinstance(link, urllib3.exceptions.IncompleteRead) for link in chain):
        return failed("the answer was cut off")
    return failed(printable(str(chain[-1]) or type(chain[-1]).__name__, 200))


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and what it was raised for, in order: urllib3 wraps what http.client and socket raise."""
    found: list[BaseException] = []
    todo: list[BaseException] = [error]
    while todo:
        link = todo.pop(0)
        if link in found or len(found) > 30:
            continue
        found.append(link)
        inner = [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]
        todo += [other for other in inner if isinstance(other, BaseException)]
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
