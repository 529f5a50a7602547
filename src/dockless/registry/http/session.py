"""The entry point to HTTP: sends one request and returns its response. Nothing is retried, followed or authorized."""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import threading
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from dockless._concurrency import CancelledError
from dockless.errors import DocklessError
from dockless.registry.clock import Clock, time_left
from dockless.registry.errors import RegistryConnectionError
from dockless.registry.http.adapter import (
    CaseInsensitiveDict,
    PreparedRequest,
    Session,
    Timeout,
    make_document_session,
    make_session,
    new_connections,
)
from dockless.registry.http.addresses import AddressPolicy
from dockless.registry.http.error_mapping import translate
from dockless.registry.http.proxies import choose_proxy
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.tls import Trust
from dockless.registry.http.url_policy import redact

logger = logging.getLogger("dockless.registry")

# Seconds for each block that is sent, and for each wait for a part of the response.
SEND_TIMEOUT = 60.0
READ_TIMEOUT = 60.0
# Methods of requests without a streamed body that are sent again if a reused connection was closed. A POST opens an
# upload session, and a PUT has the same effect twice.
_REPEATABLE = ("GET", "HEAD", "POST", "PUT")
# The least seconds of a wait: a request that begins in the last moment fails like any other that takes too long.
_MIN_WAIT = 0.1
# Characters that a URL may contain as they are (RFC 3986, section 3.3), and the escape character itself.
_SAFE = "%/?:@!$&'()*+,;=~"
_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


class HttpRequest(NamedTuple):
    """One request.

    body          bytes, or a function that opens a reader with a length, each time that the request is sent
    read_timeout  seconds for the start of the response, and for each part of it; None: READ_TIMEOUT
    for_token     whether this is a token request. It does not count as one of the session's `jobs`, because it is made
                  while the requests that need the token hold their slots. See `AddressPolicy` for where they go
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: Any = None
    read_timeout: float | None = None
    for_token: bool = False


class HttpSession:
    """Sends requests to one registry and to the hosts that it refers to, at the addresses that are allowed.

    Thread-safe. `addresses` is None if the user named all hosts: all addresses are allowed then.

    At most `jobs` requests are in flight; a response whose head has arrived no longer counts. A request raises
    RegistryConnectionError for failures of the connection.
    """

    def __init__(
        self,
        *,
        jobs: int,
        trust: Trust,
        clock: Clock,
        environ: Mapping[str, str],
        addresses: AddressPolicy | None,
    ) -> None:
        self.addresses = addresses
        self._clock = clock
        self._trust = trust
        self._environ = environ
        self._slots = _Slots(jobs)
        self._max_idle = 2 * jobs + 2
        # Whether a body could not be sent over a reused connection: the next ones are sent over new connections.
        self._had_stale_body = False
        self._session, self._token_session = self._make_session(), self._make_session(for_token=True)

    def send(self, request: HttpRequest) -> HttpResponse:
        """Send a request and return the response as soon as its head has arrived.

        Raises RegistryError when there is no response, and what opening or reading `request.body` raises.
        """
        proxy = choose_proxy(request.url, self._environ)
        with contextlib.nullcontext() if request.for_token else self._slots:
            try:
                return self._send_once_more(request, proxy)
            except RegistryConnectionError as error:
                if error.reason != "certificate" or not self._trust.add_system_cas():
                    raise
            return self._send_once_more(request, proxy)

    def plain_session(self, *, direct: Collection[str] = ()) -> Session:
        """Return a new requests session with the TLS contexts and proxies of this one, for libraries that need one.

        No proxy is used for the hosts `direct`. All addresses are allowed: the user's configuration names the hosts.
        Responses have at most 1 MiB.
        """

        def proxy_of(url: str) -> str | None:
            return None if urlsplit(url).hostname in direct else choose_proxy(url, self._environ)

        return make_document_session(self._trust.context, proxy_of, self._clock)

    def close(self) -> None:
        """Close all idle connections."""
        self._session.close()
        self._token_session.close()

    def _make_session(self, *, for_token: bool = False) -> Session:
        return make_session(
            self._trust.context,
            lambda url: choose_proxy(url, self._environ),
            self._clock,
            addresses=self.addresses,
            for_token=for_token,
            max_idle=self._max_idle,
        )

    def _send_once_more(self, request: HttpRequest, proxy: str | None) -> HttpResponse:
        """Send a request; if a reused connection turns out to be closed, again on a new connection.

        The peer may have executed the request: those that must not be repeated blindly are left to the caller.
        """
        has_stream = callable(request.body)
        with new_connections() if has_stream and self._had_stale_body else contextlib.nullcontext():
            try:
                return self._send(request, proxy)
            except RegistryConnectionError as error:
                self._had_stale_body = self._had_stale_body or (error.is_stale and has_stream)
                if not error.is_stale or has_stream or request.method not in _REPEATABLE:
                    raise
                logger.debug("%s; once more on a new connection", error)
        with new_connections():
            return self._send(request, proxy)

    def _send(self, request: HttpRequest, proxy: str | None) -> HttpResponse:
        method, url = request.method, request.url
        timeout = _timeout(request)
        # The exception that the caller is handling, if any: Python makes it the context of errors raised here.
        handled = sys.exc_info()[1]
        logger.debug("%s %s", method, redact(url))
        try:
            with _opened(request.body) as body:
                prepared = _prepared(request, body)
                session = self._token_session if request.for_token else self._session
                response = session.send(prepared, stream=True, allow_redirects=False, timeout=timeout)
        except (DocklessError, CancelledError):
            # Raised by the body, which is read while it is sent.
            raise
        except Exception as error:
            translated = translate(error, method, url, proxy, handled=handled)
            raise translated from translated.__cause__
        logger.debug("%s %s: %d", method, redact(url), response.status_code)
        return HttpResponse(response, method, url, self._clock, proxy)


def _timeout(request: HttpRequest) -> Any:
    """Return the timeouts of a request, which end within the time that its operation has left.

    A body that is read while it is sent takes as long as it moves: its time does not count.
    """
    left = max(time_left(), _MIN_WAIT)
    read = READ_TIMEOUT if request.read_timeout is None else request.read_timeout
    # The time that a registry needs for a large blob is no time without an answer.
    read = min(read, left + max(0.0, read - READ_TIMEOUT))
    connect = min(SEND_TIMEOUT, left)
    if callable(request.body) or left == float("inf"):
        return (connect, read)
    return Timeout(connect=connect, read=read, total=left)


def _opened(body: Any) -> AbstractContextManager[Any]:
    return body() if callable(body) else contextlib.nullcontext(body)


def _prepared(request: HttpRequest, body: Any) -> PreparedRequest:
    """Set the fields directly: `prepare` would normalize the URL, and send an empty body as chunked."""
    prepared = PreparedRequest()
    prepared.method = request.method
    prepared.url = _encoded(request.url)
    headers = {"User-Agent": _user_agent(), "Accept-Encoding": "identity", **request.headers}
    if body is not None:
        headers["Content-Length"] = str(len(body))
    prepared.headers = CaseInsensitiveDict(headers)
    prepared.body = body
    return prepared


def _encoded(url: str) -> str:
    """Escape the characters that a URL may not contain; what is escaped already stays as it is."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{parts.scheme}://{parts.netloc}{quote(_LONE_PERCENT.sub('%25', target), safe=_SAFE)}"


def _user_agent() -> str:
    from dockless import __version__

    return f"dockless/{__version__}"


# For each thread, how many of its requests are in flight, to any registry.
_in_flight = threading.local()


class _Slots:
    """At most `count` threads at a time. A thread that has a slot, of any registry, needs no second one.

    An upload reads its source while it is sent. If both needed a slot, uploads that hold all slots would wait forever.
    """

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)

    def __enter__(self) -> None:
        depth = getattr(_in_flight, "depth", 0)
        if not depth:
            self._free.acquire()
        _in_flight.depth = depth + 1

    def __exit__(self, *_: object) -> None:
        _in_flight.depth -= 1
        if not _in_flight.depth:
            self._free.release()
