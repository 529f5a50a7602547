"""Connections as http.client makes them, with big blocks, a short wait for the connection itself, and a least pace."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import SplitResult, quote

from dockless.registry.body import BlobPart, FileSlice
from dockless.registry.clock import Clock
from dockless.registry.dial import Route, dial, proxy_authorization
from dockless.registry.pace import Pace
from dockless.registry.readiness import can_read

BLOCK = 1 << 20
# Less goes at once.
_SMALL = 64 * 1024
# Answers before the answer: 100, 102, 103.
_MOST_INTERIM = 20
# What a URL may hold as it is (RFC 3986, section 2), and the sign of what is encoded already.
_PLAIN = "%/?:@!$&'()*+,;=~[]"


class _Paced(io.RawIOBase):
    """What a socket brings. The wait for an answer's first byte is the read timeout's business: it is not counted."""

    def __init__(self, raw: io.RawIOBase, clock: Clock) -> None:
        self._raw = raw
        self._clock = clock
        self._pace = Pace()
        self._begun = False
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        begin = self._clock.monotonic()
        n = self._raw.readinto(buffer)
        if self._begun:
            self._pace.check(n or 0, self._clock.monotonic() - begin, "the answer")
        self._begun = True
        self.ended = self.ended or not n
        return n

    def close(self) -> None:
        self._raw.close()
        super().close()


class Response(http.client.HTTPResponse):
    """An answer whose body is still on the wire."""

    def __init__(self, sock: Any, method: str, *, clock: Clock) -> None:
        super().__init__(sock, method=method)
        self._paced = _Paced(self.fp.detach(), clock)
        self.fp: Any = io.BufferedReader(self._paced, 64 * 1024)

    def _read_status(self) -> Any:
        """The status of the final answer: http.client passes over 100 alone, and over any number of them.

        What it took for final would leave the true answer to be read as that to the next request (RFC 9110, 15.2).
        """
        for _ in range(_MOST_INTERIM):
            found = super()._read_status()  # type: ignore[misc]
            if not 100 <= found[1] < 200 or found[1] == 101:
                return found
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {_MOST_INTERIM} interim answers")

    def begin(self) -> None:
        super().begin()
        # http.client takes an end for the empty line after the headers: what said 201 may have gone on to say more.
        if self._paced.ended:
            raise ConnectionResetError("the head of the answer was cut off")
        if len(set(self.headers.get_all("Content-Length", ()))) > 1:
            # Whoever believes the wrong one takes what is left for the next answer (RFC 9112, section 6.3).
            raise http.client.HTTPException("the answer has two lengths")

    def take(self, n: int) -> bytes:
        """Up to `n` bytes as they came over the wire; empty at the end. Closed as soon as all is read.

        Raises what http.client and sockets raise; IncompleteRead when it ends early.
        """
        data = self.read1(n)
        if not data and self.length:
            raise http.client.IncompleteRead(b"", self.length)
        if not data or self.length == 0:
            self.close()
        return data


class Connection(http.client.HTTPConnection):
    """One connection, for one request after the other. `context_of` says what TLS with a host is made with."""

    def __init__(self, route: Route, context_of: Callable[[str], ssl.SSLContext], clock: Clock) -> None:
        super().__init__(route.host, route.port, blocksize=BLOCK)
        self.default_port = route.default_port
        self.response_class: Any = partial(Response, clock=clock)
        self._route = route
        self._context_of = context_of
        self._clock = clock

    def connect(self) -> None:
        self.sock = dial(self._route, self._context_of)

    def ask(
        self, method: str, url: SplitResult, headers: Mapping[str, str], body: Any, timeouts: tuple[float, float]
    ) -> Response:
        """Sends a request and returns its answer. `timeouts` are for what is sent and for what is awaited, in seconds.

        Raises what http.client, `dial` and sockets raise; the connection is of no use then.
        """
        target = quote((url.path or "/") + (f"?{url.query}" if url.query else ""), safe=_PLAIN)
        if self._route.asks_proxy:
            target = f"http://{url.netloc}{target}"
            headers = {**headers, **proxy_authorization(self._route.proxy or "")}
        if self.sock is None:
            self.connect()
        self.sock.settimeout(timeouts[0])
        if isinstance(body, BlobPart) and isinstance(self.sock, socket.socket) and not _is_tls(self.sock):
            body = body.slices() or body
        # Who has closed its end may have said why before.
        with contextlib.suppress(BrokenPipeError):
            self.request(method, target, body, headers)
        self.sock.settimeout(timeouts[1])
        answer: Response = self.getresponse()  # type: ignore[assignment]
        return answer

    def send(self, data: Any) -> None:
        if isinstance(data, FileSlice):
            data.send(self.sock, self._clock)
        elif not _sent(data, self.sock, self._clock):
            super().send(data)

    def is_idle(self) -> bool:
        """Whether the next request can go over it: the peer has neither closed it nor sent what nobody asked for."""
        return self.sock is not None and not can_read(self.sock)


def _is_tls(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket)


def _sent(data: Any, sock: Any, clock: Clock) -> bool:
    """Sends a block piece by piece, as the peer takes it: `sendall` wants all of it within one timeout."""
    if sock is None or not isinstance(data, bytes) or len(data) < _SMALL:
        return False
    view, pace = memoryview(data), Pace()
    while view:
        begin = clock.monotonic()
        n = sock.send(view)
        pace.check(n, clock.monotonic() - begin, "what is sent")
        view = view[n:]
    return True
