"""Connections that are used again."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from dockless.registry.clock import Clock
from dockless.registry.connection import Connection, Response
from dockless.registry.dial import Route


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

    def abandon(self) -> None:
        """Closes the connection, unless all of the body has been read."""
        if not self._ended:
            self._ended = True
            self._response.close()
            self._connection.close()


class Pool:
    """Connections by where they lead; nothing is retried or followed, or remembered. Safe for threads.

    `context_of` says what TLS with a host is made with; `most` connections to a place are kept while idle.
    """

    def __init__(self, context_of: Callable[[str], ssl.SSLContext], clock: Clock, most: int) -> None:
        self._context_of = context_of
        self._clock = clock
        self._most = most
        self._idle: dict[Route, list[Connection]] = {}
        self._lock = threading.Lock()
        self._closed = False

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
        """One request; the answer's body is still on the wire. Raises what `Connection.ask` raises.

        `timeouts` are for what is sent and for what is awaited, in seconds.
        """
        parts = urlsplit(url)
        route = Route.to(parts, proxy)
        connection = self._take(route) or Connection(route, self._context_of, self._clock)
        try:
            response = connection.ask(method, parts, headers, body, timeouts)
        except BaseException:
            connection.close()
            raise
        return Reply(response, connection, lambda: self._keep(route, connection))

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _take(self, route: Route) -> Connection | None:
        """The one used last, as that is the least likely to have been closed."""
        while True:
            with self._lock:
                idle = self._idle.get(route)
                connection = idle.pop() if idle else None
            if connection is None or connection.is_idle():
                return connection
            connection.close()

    def _keep(self, route: Route, connection: Connection) -> None:
        with self._lock:
            idle = self._idle.setdefault(route, [])
            kept = len(idle) < self._most and not self._closed
            if kept:
                idle.append(connection)
        if not kept:
            connection.close()
