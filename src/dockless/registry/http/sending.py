"""Sends a body piece by piece, as the peer takes it, and hears what the peer says meanwhile."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from typing import Any

from dockless.registry.clock import Clock
from dockless.registry.http.minimum_rate import Pace
from dockless.registry.http.readiness import can_read, wait_for_either

_BLOCK = 64 * 1024
_MOST_HEARD = 1 << 20
_MOST_INTERIM = 1000
# Answers before the answer, whole; and the begin of one that makes the rest of a body pointless.
_INTERIM = re.compile(rb"HTTP/1\.\d 1\d\d.*?\r?\n\r?\n", re.DOTALL)
_REFUSAL = re.compile(rb"HTTP/1\.\d [345]\d\d")


class Answered(Exception):
    """The peer has answered, or hung up, and does not want the rest of the body."""


class Sender:
    """Sends over one socket; `heard` is what came of an answer meanwhile.

    A peer that refuses a body (413, 401, 307) may leave it unread, and its connection open: whoever waits for room
    alone waits in vain, and whoever does not look sends gigabytes for nothing (RFC 9112, section 9.5).
    """

    def __init__(self, sock: Any, clock: Clock) -> None:
        self._sock = sock
        self._clock = clock
        # TLS in TLS is no socket that can be asked without waiting.
        self._listens = isinstance(sock, socket.socket)
        self.heard = b""
        self._interim = 0

    def send(self, step: Callable[[int], int], length: int) -> None:
        """Calls `step` with the bytes that have gone, until these are `length`; it sends more, and says how many.

        Raises Answered, Stalled, TimeoutError when nothing goes within the socket's timeout, and what `step` raises.
        """
        done, pace, seconds = 0, Pace(), self._sock.gettimeout() if self._listens else None
        try:
            if self._listens:
                self._sock.settimeout(0)
                if can_read(self._sock):
                    self._listen()
            while done < length:
                begin = self._clock.monotonic()
                n = 0
                try:
                    n = step(done)
                except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                    self._wait(seconds)
                pace.check(n, self._clock.monotonic() - begin, "what is sent")
                done += n
        finally:
            if self._listens:
                self._sock.settimeout(seconds)

    def _wait(self, seconds: float | None) -> None:
        readable, writable = wait_for_either(self._sock, seconds)
        if readable:
            self._listen()
        elif not writable:
            raise TimeoutError("nothing went in time")

    def _listen(self) -> None:
        """Takes what has come. Of TLS that may be nothing: a session's ticket, say."""
        try:
            data = self._sock.recv(_BLOCK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        self.heard += data
        while interim := _INTERIM.match(self.heard):
            # They say nothing, and whoever reads the answer counts those that it reads.
            self.heard = self.heard[interim.end() :]
            self._interim += 1
        if not data or _REFUSAL.match(self.heard) or len(self.heard) > _MOST_HEARD or self._interim > _MOST_INTERIM:
            raise Answered
