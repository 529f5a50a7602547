"""Answers as http.client reads them, made strict: interim ones, cut heads, two lengths, what follows the end."""

from __future__ import annotations

import http.client
import io
from typing import Any

from dockless.registry.clock import Clock
from dockless.registry.http.minimum_rate import Pace

# Answers before the answer: 100, 102, 103.
_MOST_INTERIM = 20


class _Paced(io.RawIOBase):
    """What a socket brings after `heard`. The wait for an answer's first byte is the read timeout's business: it is
    not counted.
    """

    def __init__(self, raw: io.RawIOBase, clock: Clock, heard: bytes) -> None:
        self._raw = raw
        self._heard = heard
        self._clock = clock
        self._pace = Pace()
        self._begun = False
        self._sealed = False
        self.ended = False

    def readable(self) -> bool:
        return True

    def seal(self) -> None:
        """No more is read: what a buffer still has is all there is."""
        self._sealed = True

    def readinto(self, buffer: Any) -> int | None:
        if self._sealed:
            return 0
        if self._heard:
            n = min(len(buffer), len(self._heard))
            buffer[:n], self._heard = self._heard[:n], self._heard[n:]
            return n
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
    """An answer whose body is still on the wire; `will_close` says whether its connection is of use after it.

    `heard` are bytes of it that were read already.
    """

    def __init__(
        self,
        sock: Any,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
        *,
        clock: Clock,
        heard: bytes = b"",
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self._paced = _Paced(self.fp.detach(), clock, heard)
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
        if self.status in (204, 304):
            # Whatever the headers say (RFC 9112, section 6.3).
            self.chunked, self.length = False, 0

    def _close_conn(self) -> None:
        """What came beyond the end would be read as the answer to the next request."""
        self._paced.seal()
        if self.fp.peek(1):
            self.will_close = True
        super()._close_conn()  # type: ignore[misc]

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
