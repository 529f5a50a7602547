"""One HTTP request and its answer, over requests; nothing is retried, followed, decoded or authorised here."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dockless.errors import DocklessError, RegistryError, printable
from dockless.registry.clock import Clock
from dockless.registry.errors import ConnectionFailed, Unexpected
from dockless.registry.hosts import redact, split_host
from dockless.registry.proxies import choose_proxy
from dockless.registry.retry import parse_retry_after

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 20
# Connecting and each write of a block, and each read: the last answer of an upload comes when the registry has hashed
# gigabytes or moved them to its store.
TIMEOUTS = (60.0, 300.0)
# A server that trickles never trips a timeout of single reads.
_SLOWEST = 1024
_SLOWEST_OVER = 60.0


class Answer:
    """An answer whose body is still on the wire. Read it or close it."""

    def __init__(self, response: requests.Response, method: str, clock: Clock) -> None:
        self._response = response
        self._clock = clock
        self.method = method
        self.url: str = response.url or ""
        self.status: int = response.status_code

    def header(self, name: str) -> str:
        """The header's value, or empty."""
        value: str = self._response.headers.get(name, "")
        return value

    def headers(self, name: str) -> list[str]:
        """All values of a header that may stand several times."""
        return list(self._response.raw.headers.getlist(name))

    @property
    def retry_after(self) -> float | None:
        value = self.header("Retry-After")
        return parse_retry_after(value, self._clock) if value else None

    @property
    def length(self) -> int | None:
        """The Content-Length in bytes, where there is a usable one."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def read(self, limit: int, what: str) -> bytes:
        """The whole body, at most `limit` bytes. Raises RegistryError."""
        length = self.length
        if length is not None and length > limit and self.method != "HEAD":
            self.close()
            raise Unexpected(f"{what} at {redact(self.url)} is too large", cause=f"{length} bytes, more than {limit}")
        pieces = []
        total = 0
        begin = self._clock.monotonic()
        while True:
            piece = self.read_some(min(BLOCK, limit + 1 - total))
            if not piece:
                break
            pieces.append(piece)
            total += len(piece)
            if total > limit:
                self.close()
                raise Unexpected(f"{what} at {redact(self.url)} is too large", cause=f"more than {limit} bytes")
            self.check_pace(begin, total)
        self.close()
        return b"".join(pieces)

    def read_some(self, n: int) -> bytes:
        """Up to `n` bytes as they came over the wire; empty at the end. Raises ConnectionFailed."""
        encoding = self.header("Content-Encoding").lower()
        if encoding not in ("", "identity"):
            self.close()
            raise Unexpected(f"{redact(self.url)} answered in the encoding {printable(encoding, 50)}, unasked")
        try:
            piece: bytes = self._response.raw.read1(n, decode_content=False)
            return piece
        except Exception as error:
            self.close()
            raise wrapped(error, self.method, self.url) from error

    def check_pace(self, begin: float, total: int) -> None:
        """Raises ConnectionFailed for a body that comes slower than any line that is of use."""
        spent = self._clock.monotonic() - begin
        if spent > _SLOWEST_OVER and total < _SLOWEST * spent:
            self.close()
            raise ConnectionFailed(f"{self.method} {redact(self.url)} stalled", cause=f"{total} bytes in {spent:.0f} s")

    def close(self) -> None:
        self._response.close()


class Transport:
    """Sends requests to one registry and to where it sends us. Safe for threads; at most `jobs` in flight."""

    def __init__(
        self,
        *,
        jobs: int,
        verify: bool | str,
        clock: Clock,
        environ: Mapping[str, str],
        timeouts: tuple[float, float] = TIMEOUTS,
    ) -> None:
        self._clock = clock
        self._verify = verify
        self._environ = environ
        self._timeouts = timeouts
        self._slots = threading.BoundedSemaphore(jobs)
        self._session = _session(jobs)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any = None,
        *,
        timeouts: tuple[float, float] | None = None,
    ) -> Answer:
        """One request. `body` is bytes, or has `read` and `__len__`. Raises RegistryError when there is no answer.

        The slot is given back when the answer's head is there: bodies are read by whoever asked.
        """
        proxy = choose_proxy(url, self._environ)
        proxies: Any = {"http": proxy, "https": proxy}
        sent = {
            "User-Agent": _user_agent(),
            "Accept-Encoding": "identity",
            **headers,
        }
        with self._slots:
            try:
                response = self._session.request(
                    method,
                    url,
                    headers=sent,
                    data=body,
                    stream=True,
                    allow_redirects=False,
                    timeout=timeouts or self._timeouts,
                    # On every request: the environment's bundle would win over the session's own setting.
                    verify=self._verify,
                    proxies=proxies,
                )
            except DocklessError:
                # Of the body, which is read while it is sent.
                raise
            except Exception as error:
                raise wrapped(error, method, url) from error
        return Answer(response, method, self._clock)

    def close(self) -> None:
        self._session.close()


def verify_setting(insecure: bool, ca_file: str | None, environ: Mapping[str, str]) -> bool | str:
    """What `verify=` is to be: False, a file or folder of CAs, or True for those that requests brings.

    `ca_file`, else REQUESTS_CA_BUNDLE, else SSL_CERT_FILE. Raises RegistryError for one that is not there or no CA.
    """
    if insecure:
        return False
    for path, named_by in (
        (ca_file, "the CA file"),
        (environ.get("REQUESTS_CA_BUNDLE"), "REQUESTS_CA_BUNDLE"),
        (environ.get("SSL_CERT_FILE"), "SSL_CERT_FILE"),
    ):
        if not path:
            continue
        try:
            if os.path.isdir(path):
                return path
            with open(path, encoding="ascii", errors="replace") as file:
                ssl.create_default_context(cadata=file.read())
        except OSError as error:
            # ssl.SSLError is an OSError: what PEM does not hold is told apart by having no file name.
            cause = error.strerror if error.filename else "it holds no PEM certificate"
            raise RegistryError(f"cannot use {named_by} {path}", cause=cause or "", hint="name a PEM file") from None
        except ValueError:
            raise RegistryError(
                f"cannot use {named_by} {path}", cause="it holds no PEM certificate", hint="name a PEM file"
            ) from None
        return path
    return True


def wrapped(error: Exception, method: str, url: str) -> DocklessError:
    """An exception of requests, urllib3, http or socket, as one of ours that says the cause in a word."""
    import requests
    import urllib3

    shown = f"{method} {redact(url)}"
    host = split_host(url.partition("://")[2].partition("/")[0].rpartition("@")[2])
    chain = _chain(error)
    text = " ".join(str(link) for link in chain)

    def failed(cause: str, hint: str = "", *, transient: bool = True) -> ConnectionFailed:
        return ConnectionFailed(shown, cause=cause, hint=hint, transient=transient)

    if any(isinstance(link, DocklessError) for link in chain):
        return next(link for link in chain if isinstance(link, DocklessError))
    if any(isinstance(link, (requests.exceptions.InvalidHeader, UnicodeError)) for link in chain):
        return Unexpected(shown, cause="a header holds characters that HTTP forbids")
    if any(isinstance(link, (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)) for link in chain):
        return failed("the proxy refused or is not there", "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY")
    certificate = next((link for link in chain if isinstance(link, ssl.SSLCertVerificationError)), None)
    if certificate is not None:
        return failed(_certificate_cause(certificate, host), "name the right CA with --ca-file", transient=False)
    if any(isinstance(link, ssl.SSLError) for link in chain) and "WRONG_VERSION_NUMBER" in text:
        return failed("it speaks plain http, not https", "allow that for this registry (insecure)", transient=False)
    if any(isinstance(link, urllib3.exceptions.NameResolutionError) for link in chain) or "Name or service" in text:
        return failed(f"there is no host {host}", "check the name and the network")
    if any(isinstance(link, ConnectionRefusedError) for link in chain):
        return failed("connection refused", "check the port, and that the registry runs")
    if any(isinstance(link, (urllib3.exceptions.ConnectTimeoutError,)) for link in chain):
        return failed("no connection in time", "check the network and the proxy")
    if any(isinstance(link, (urllib3.exceptions.ReadTimeoutError, TimeoutError)) for link in chain):
        return failed("no answer in time")
    if any(isinstance(link, (ConnectionResetError, BrokenPipeError)) for link in chain):
        return failed("the connection was reset")
    if any(isinstance(link, urllib3.exceptions.IncompleteRead) for link in chain):
        return failed("the answer was cut off")
    return failed(printable(str(chain[-1]) or type(chain[-1]).__name__, 200))


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and what it was raised for, in order: urllib3 and requests wrap each other."""
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


def _certificate_cause(error: ssl.SSLCertVerificationError, host: str) -> str:
    said = (error.verify_message or str(error)).lower()
    if "expired" in said:
        return "its certificate has expired (or this machine's clock is wrong: check it)"
    if "not yet valid" in said:
        return "its certificate is not valid yet (or this machine's clock is wrong: check it)"
    if "mismatch" in said or "not valid for" in said or "doesn't match" in said:
        return f"its certificate is not for {host}"
    if "self-signed" in said or "self signed" in said or "unable to get" in said:
        return "its certificate is signed by nobody that is trusted here"
    return f"its certificate cannot be verified: {printable(said, 100)}"


def _user_agent() -> str:
    from dockless import __version__

    return f"dockless/{__version__}"


def _session(jobs: int) -> requests.Session:
    import requests
    import urllib3
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **{**kwargs, "blocksize": BLOCK})  # type: ignore[no-untyped-call]

    session = requests.Session()
    # ~/.netrc would replace a Bearer token by Basic and follow redirects; proxies and CAs are read on purpose instead.
    session.trust_env = False
    session.headers.clear()
    # urllib3's retries know nothing of sessions and bodies: there is one loop, and it is not here.
    adapter = Adapter(pool_connections=8, pool_maxsize=jobs + 2, max_retries=urllib3.Retry(0, read=False))
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session
