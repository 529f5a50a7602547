"""Sends request bodies as fast as the peer accepts them, and notices a response that arrives before the body ends."""

from __future__ import annotations

import re
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any

from dockless.registry.clock import Clock
from dockless.registry.http.minimum_rate import MinimumRate

_READ_SIZE = 64 * 1024
_MAX_RECEIVED = 64 * 1024
_MAX_INTERIM = 1000
# A complete informational response; the start of a response that makes the rest of a body pointless.
_INTERIM = re.compile(rb"HTTP/1\.\d 1\d\d.*?\r?\n\r?\n", re.DOTALL)
_REFUSAL = re.compile(rb"HTTP/1\.\d [345]\d\d")


class EarlyResponseError(Exception):
    """The peer has responded, or closed the connection, and does not want the rest of the body."""


class BodySender:
    """Sends over one socket. `received` holds the bytes of a response that arrived meanwhile.

    A peer that refuses a body (413, 401, 307) may leave it unread and keep the connection open. A client that only
    waits until the socket is writable then times out. A client that never reads sends the whole body although it was
    refused (RFC 9112, section 9.5).
    """

    def __init__(self, sock: Any, clock: Clock) -> None:
        self._sock = sock
        self._clock = clock
        # TLS inside TLS has no socket that can be polled.
        self._can_poll = isinstance(sock, socket.socket)
        self._interim = 0
        self.received = b""

    def send(self, send_more: Callable[[int], int], length: int) -> None:
        """Call `send_more` with the number of bytes sent so far, which returns how many more it sent, up to `length`.

        Raises EarlyResponseError, TransferTooSlowError, TimeoutError when nothing can be sent within the socket's
        timeout, and what `send_more` raises.
        """
        done, rate, timeout = 0, MinimumRate(), self._sock.gettimeout() if self._can_poll else None
        try:
            if self._can_poll:
                self._sock.settimeout(0)
                if _poll(self._sock, select.POLLIN, 0.0):
                    self._receive()
            while done < length:
                begin = self._clock.monotonic()
                sent = 0
                try:
                    sent = send_more(done)
                except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    self._wait(timeout)
                rate.check(sent, self._clock.monotonic() - begin, "the request body")
                done += sent
        finally:
            if self._can_poll:
                self._sock.settimeout(timeout)

    def _wait(self, timeout: float | None) -> None:
        ready = _poll(self._sock, select.POLLIN | select.POLLOUT, timeout)
        if ready & ~select.POLLOUT:
            self._receive()
        elif not ready:
            raise TimeoutError("no data could be sent in time")

    def _receive(self) -> None:
        """Read what has arrived. With TLS that may be no data at all, but a session ticket."""
        try:
            data = self._sock.recv(_READ_SIZE)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        self.received += data
        while interim := _INTERIM.match(self.received):
            # StrictResponse counts only those that it reads itself.
            self.received = self.received[interim.end() :]
            self._interim += 1
        is_too_much = len(self.received) > _MAX_RECEIVED or self._interim > _MAX_INTERIM
        if not data or is_too_much or _REFUSAL.match(self.received):
            raise EarlyResponseError


def _poll(sock: Any, events: int, timeout: float | None) -> int:
    """Return the events that are ready within `timeout` seconds (None: no limit); 0 for none."""
    poll = select.poll()
    poll.register(sock, events)
    ready = poll.poll(None if timeout is None else timeout * 1000)
    return ready[0][1] if ready else 0
