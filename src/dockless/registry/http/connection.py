"""Connections as http.client makes them, with big blocks, a short wait for the connection itself, and a least pace."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import SplitResult, quote

from dockless.registry.clock import Clock
from dockless.registry.http.dial import Route, dial, proxy_authorization
from dockless.registry.http.readiness import can_read
from dockless.registry.http.response import Response
from dockless.registry.http.sending import Answered, Sender
from dockless.registry.http.url_policy import DEFAULT_PORTS
from dockless.registry.upload_body import BlobPart, FileSlice

BLOCK = 1 << 20
# So much goes at once: of TLS, what is less than a block has not gone for us until all of it has.
_SMALL = 64 * 1024
# What a URL may hold as it is (RFC 3986, section 3.3), and the sign of what is encoded already.
_PLAIN = "%/?:@!$&'()*+,;=~"
_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


class Connection(http.client.HTTPConnection):
    """One connection, for one request after the other. `context_of` says what TLS with a host is made with."""

    def __init__(self, route: Route, context_of: Callable[[str], ssl.SSLContext], clock: Clock) -> None:
        super().__init__(route.host, route.port, blocksize=BLOCK)
        self.default_port = DEFAULT_PORTS[route.scheme]
        self._route = route
        self._context_of = context_of
        self._clock = clock

    def connect(self) -> None:
        self.sock = dial(self._route, self._context_of, self._clock)
        self._sender = Sender(self.sock, self._clock)

    def ask(self, method: str, url: SplitResult, headers: Mapping[str, str], body: Any, timeout: float) -> None:
        """Sends a request; `timeout`, in seconds, is for each block of it.

        Raises what http.client, `dial` and sockets raise; the connection is of no use then.
        """
        target = _LONE_PERCENT.sub("%25", (url.path or "/") + (f"?{url.query}" if url.query else ""))
        target = quote(target, safe=_PLAIN)
        if self._route.asks_proxy:
            target = f"http://{url.netloc}{target}"
            headers = {**headers, **proxy_authorization(self._route.proxy or "")}
        if self.sock is None:
            self.connect()
        self.sock.settimeout(timeout)
        if isinstance(body, BlobPart) and isinstance(self.sock, socket.socket) and not _is_tls(self.sock):
            body = body.slices() or body
        self._cut, self._head_sent = True, False
        # Who has closed its end may have said why before: 413 to a blob that is too large, say.
        with contextlib.suppress(Answered, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            self.request(method, target, body, headers)
            self._cut = False

    def hear(self, timeout: float) -> Response:
        """The head of the answer; `timeout`, in seconds, is for each wait for it and for its body. Raises as `ask`."""
        self.sock.settimeout(timeout)
        self.response_class: Any = partial(Response, clock=self._clock, heard=self._sender.heard)
        self._sender.heard = b""
        answer: Response = self.getresponse()  # type: ignore[assignment]
        # What is left of a body would be read as the next request.
        answer.will_close = answer.will_close or self._cut
        return answer

    def set_timeout(self, seconds: float) -> None:
        """For each wait from now on."""
        if self.sock is not None:
            self.sock.settimeout(seconds)

    def send(self, data: Any) -> None:
        if isinstance(data, FileSlice):
            self._sender.send(partial(data.send, self.sock), data.length)
        elif self._head_sent and isinstance(data, bytes):
            view = memoryview(data)
            self._sender.send(lambda done: self.sock.send(view[done : done + _SMALL]), len(data))
        else:
            super().send(data)
            self._head_sent = True

    def is_idle(self) -> bool:
        """Whether the next request can go over it: the peer has neither closed it nor sent what nobody asked for."""
        # What TLS has read beyond the answer is no longer on the wire.
        pending = getattr(self.sock, "pending", None)
        return self.sock is not None and not (pending and pending()) and not can_read(self.sock)


def _is_tls(sock: socket.socket) -> bool:
    return isinstance(sock, ssl.SSLSocket)
