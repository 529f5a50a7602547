"""Responses as http.client parses them, made strict: informational responses, truncation, excess bytes."""

from __future__ import annotations

import http.client
import io
from typing import Any

from dockless.registry.clock import Clock
from dockless.registry.http.minimum_rate import MinimumRate

# Informational responses before the final one (100, 102, 103), and lines after a chunked body.
_MAX_INTERIM = 20
_MAX_TRAILERS = 100


class _RateLimitedReader(io.RawIOBase):
    """`received`, then what the socket delivers. The wait for the first byte is limited by the read timeout alone."""

    def __init__(self, raw: io.RawIOBase, clock: Clock, received: bytes) -> None:
        self._raw = raw
        self._received = received
        self._clock = clock
        self._rate = MinimumRate()
        self._started = False
        self._sealed = False
        self.ended = False

    def readable(self) -> bool:
        return True

    def seal(self) -> None:
        """Read no more from the socket: only bytes that are buffered already are left."""
        self._sealed = True

    def readinto(self, buffer: Any) -> int | None:
        if self._sealed:
            return 0
        if self._received:
            n = min(len(buffer), len(self._received))
            buffer[:n], self._received = self._received[:n], self._received[n:]
            return n
        begin = self._clock.monotonic()
        count = self._raw.readinto(buffer)
        if self._started:
            self._rate.check(count or 0, self._clock.monotonic() - begin, "the response")
        self._started = True
        self.ended = self.ended or not count
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class StrictResponse(http.client.HTTPResponse):
    """The response to one request.

    received     bytes of it that were read while the request body was sent
    connection   is marked `out_of_step` when bytes follow the response
    close_after  the connection cannot be reused, because the request body was not sent completely
    """

    def __init__(
        self,
        sock: Any,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
        *,
        clock: Clock,
        received: bytes = b"",
        connection: Any = None,
        close_after: bool = False,
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self._connection = connection
        self._close_after = close_after
        self._reader = _RateLimitedReader(self.fp.detach(), clock, received)
        self.fp: Any = io.BufferedReader(self._reader, 64 * 1024)

    def _read_status(self) -> Any:
        """Return the status line of the final response.

        http.client skips status 100 only, any number of times. If an informational response were taken for the final
        one, the final one would be read as the response to the next request (RFC 9110, section 15.2).
        """
        for _ in range(_MAX_INTERIM):
            status = super()._read_status()  # type: ignore[misc]
            if not 100 <= status[1] < 200 or status[1] == 101:
                return status
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {_MAX_INTERIM} informational responses")

    def begin(self) -> None:
        """Read the head of the response. Raises HTTPException if the head is truncated or invalid."""
        super().begin()
        # http.client takes the end of the connection for the empty line after the headers, of which some may be lost.
        if self._reader.ended:
            raise ConnectionResetError("the response head was truncated")
        self.will_close = self.will_close or self._close_after
        if self.status in (204, 304):
            # They have no body, whatever their headers say (RFC 9112, section 6.3).
            self.chunked, self.length = False, 0

    def _read_and_discard_trailer(self) -> None:
        for _ in range(_MAX_TRAILERS):
            line = self.fp.readline(64 * 1024)
            if line in (b"\r\n", b"\n", b""):
                return
        raise http.client.HTTPException(f"got more than {_MAX_TRAILERS} trailers")

    def _close_conn(self) -> None:
        """Mark the connection when bytes follow: they would be read as the response to the next request."""
        self._reader.seal()
        connection, self._connection = self._connection, None
        if self.fp.peek(1) and connection is not None:
            connection.out_of_step = True
        super()._close_conn()  # type: ignore[misc]
