"""Connections that are used again."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from dockless.registry.clock import Clock
from dockless.registry.http.connection import Connection
from dockless.registry.http.dial import Route
from dockless.registry.http.response import Response

_BLOCK = 64 * 1024
# So many kept connections in a row that were dead are no accident.
_MOST_DEAD = 2


class Reply:
    """An answer, whose connection goes back to its pool when the body has been read."""

    def __init__(self, response: Response, connection: Connection, give_back: Callable[[], None]) -> None:
        self._response = response
        self._connection = connection
        self._give_back = give_back
        self._ended = False
        self.status = response.status

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        return list(self._response.headers.get_all(name, ()))

    def read(self, n: int) -> bytes:
        """Up to `n` bytes as they came over the wire; empty at the end. Raises what http.client and sockets raise."""
        if self._ended:
            return b""
        data = self._response.take(n)
        if self._response.isclosed():
            self._ended = True
            if self._response.will_close:
                self._connection.close()
            else:
                self._give_back()
        return data

    def drain(self, seconds: float) -> None:
        """Reads away what is left, so that the connection can be used again, if it comes within `seconds`."""
        if not self._ended and self._response.will_close:
            self.abandon()
        deadline = time.monotonic() + seconds
        while not self._ended:
            left = deadline - time.monotonic()
            if left <= 0:
                self.abandon()
                return
            self._connection.set_timeout(left)
            try:
                self.read(_BLOCK)
            except (OSError, http.client.HTTPException):
                self.abandon()

    def abandon(self) -> None:
        """Closes the connection, unless all of the body has been read."""
        if not self._ended:
            self._ended = True
            self._response.close()
            self._connection.close()


class Pool:
    """Connections by where they lead; nothing is retried or followed, or remembered. Safe for threads.

    `context_of` says what TLS with a host is made with; `most` connections are kept while idle, those used last. Where
    kept ones turn out to be dead again and again (closed unsaid, a moment after an answer), no more are kept.
    """

    def __init__(self, context_of: Callable[[str], ssl.SSLContext], clock: Clock, *, most: int) -> None:
        self._context_of = context_of
        self._clock = clock
        self._most = most
        self._idle: list[tuple[Route, Connection]] = []
        self._lock = threading.Lock()
        self._closed = False
        # How many kept ones in a row were dead, when a request was sent over them.
        self._dead: dict[Route, int] = {}

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any,
        *,
        timeouts: tuple[float, float],
        proxy: str | None,
    ) -> Reply:
        """One request; the answer's body is still on the wire. Raises what `Connection` raises.

        `timeouts` are for what is sent and for what is awaited, in seconds.
        """
        parts = urlsplit(url)
        route = Route.to(parts, proxy)
        kept = self._take(route)
        connection = kept or Connection(route, self._context_of, self._clock)
        try:
            connection.ask(method, parts, headers, body, timeouts[0])
            response = connection.hear(timeouts[1])
        except BaseException as error:
            connection.close()
            if kept and isinstance(error, (ConnectionError, ssl.SSLEOFError)):
                self._dead[route] = self._dead.get(route, 0) + 1
            raise
        if kept:
            self._dead.pop(route, None)
        return Reply(response, connection, lambda: self._keep(route, connection))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _take(self, route: Route) -> Connection | None:
        """The one used last, as that is the least likely to have been closed."""
        while True:
            with self._lock:
                at = next((n for n in reversed(range(len(self._idle))) if self._idle[n][0] == route), None)
                connection = None if at is None else self._idle.pop(at)[1]
            if connection is None or connection.is_idle():
                return connection
            connection.close()

    def _keep(self, route: Route, connection: Connection) -> None:
        if self._dead.get(route, 0) >= _MOST_DEAD:
            connection.close()
            return
        with self._lock:
            self._idle.append((route, connection))
            surplus = self._idle if self._closed else self._idle[: -self._most]
            self._idle = self._idle[len(surplus) :]
        for _, old in surplus:
            old.close()
