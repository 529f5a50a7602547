"""Responses as http.client parses them, made strict: limits, informational responses, truncation, excess bytes.

http.client limits the length of a line and the number of headers, but not what a peer can repeat: informational
responses, chunk extensions, trailers, and the lines after the status line of a response to CONNECT. Here everything
that is not content counts, whatever it is.
"""

from __future__ import annotations

import http.client
import io
import re
import ssl
from typing import Any

from dockless.registry.clock import Clock
from dockless.registry.http.minimum_rate import MinimumRate

# Informational responses before the final one (100, 102, 103), and bytes of all heads together.
_MAX_INTERIM = 20
_MAX_HEAD = 256 * 1024
# Bytes of a chunked body that are not content: in all, besides the 16 bytes that a chunk may have and twice its content
# (Go has the same rule since CVE-2023-39326). Trailers count like chunk extensions.
_MAX_EXCESS = 16 * 1024
_CHUNK_OVERHEAD = 16
# RFC 9112, section 7.1. `int` would also accept a sign, `0x`, underscores, leading spaces and digits of other scripts.
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?\r?\n\Z", re.DOTALL)


class _RateLimitedReader(io.RawIOBase):
    """`received`, then what the socket delivers: at most _MAX_HEAD bytes before `end_head` is called.

    The wait for the first byte is limited by the read timeout alone.
    """

    def __init__(self, raw: io.RawIOBase, clock: Clock, received: bytes) -> None:
        self._raw = raw
        self._received = received
        self._clock = clock
        self._rate = MinimumRate()
        self._started = False
        self._sealed = False
        self.has_data = bool(received)
        self._left: int | None = _MAX_HEAD
        self.ended = False

    def readable(self) -> bool:
        return True

    def end_head(self) -> None:
        """Lift the limit of the head."""
        self._left = None

    def seal(self) -> None:
        """Read no more from the socket: only bytes that are buffered already are left."""
        self._sealed = True

    def readinto(self, buffer: Any) -> int | None:
        if self._sealed:
            return 0
        if self._left is not None and self._left <= 0:
            raise http.client.HTTPException(f"got more than {_MAX_HEAD} bytes of a response head")
        count = self._read(buffer)
        if self._left is not None:
            self._left -= count
        return count

    def _read(self, buffer: Any) -> int:
        if self._received:
            n = min(len(buffer), len(self._received))
            buffer[:n], self._received = self._received[:n], self._received[n:]
            return n
        begin = self._clock.monotonic()
        try:
            count = self._raw.readinto(buffer) or 0
        except ssl.SSLError as error:
            # CPython 3.9 has only the reason of OpenSSL 3.
            if not isinstance(error, ssl.SSLEOFError) and error.reason != "UNEXPECTED_EOF_WHILE_READING":
                raise
            # Without close_notify, the peer or somebody on the way has cut the response (RFC 9112, section 9.8).
            if self._left is None:
                raise http.client.IncompleteRead(b"") from error
            count = 0
        if self._started:
            self._rate.check(count, self._clock.monotonic() - begin, "the response")
        self._started = True
        self.has_data = self.has_data or bool(count)
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
        self._excess = 0
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
        try:
            super().begin()
        finally:
            if self._connection is not None:
                self._connection.response_began = self._reader.has_data
        # http.client takes the end of the connection for the empty line after the headers, of which some may be lost.
        if self._reader.ended:
            raise ConnectionResetError("the response head was truncated")
        self._reader.end_head()
        self.will_close = self.will_close or self._close_after
        if self.status in (204, 304):
            # They have no body, whatever their headers say (RFC 9112, section 6.3).
            self.chunked, self.length = False, 0

    def _get_chunk_left(self) -> int | None:
        """Return the number of bytes that are left of the chunk, of the next one at its end; None after the last one.

        Raises HTTPException for chunks that RFC 9112 does not allow, and for more than _MAX_EXCESS bytes around them.
        """
        if self.chunk_left:
            return self.chunk_left
        if self.chunk_left == 0 and self._safe_read(2) != b"\r\n":  # type: ignore[attr-defined]
            raise http.client.HTTPException("got more than the declared bytes of a chunk")
        line = self._framing_line()
        size = _CHUNK_SIZE.match(line)
        if size is None:
            raise http.client.HTTPException("got an invalid chunk size")
        self.chunk_left: int | None = int(size[1], 16)
        self._excess = max(0, self._excess - _CHUNK_OVERHEAD - 2 * self.chunk_left)
        if not self.chunk_left:
            while self._framing_line() not in (b"\r\n", b"\n"):
                pass
            self._close_conn()
            self.chunk_left = None
        return self.chunk_left

    def _framing_line(self) -> bytes:
        """Return a line that is not content, with its end. Raises HTTPException, and IncompleteRead if it has none."""
        line: bytes = self.fp.readline(_MAX_EXCESS + 1)
        self._excess += len(line)
        if self._excess > _MAX_EXCESS:
            raise http.client.HTTPException(f"got more than {_MAX_EXCESS} bytes around the content of chunks")
        if not line.endswith(b"\n"):
            raise http.client.IncompleteRead(b"")
        return line

    def _close_conn(self) -> None:
        """Mark the connection when bytes follow: they would be read as the response to the next request."""
        self._reader.seal()
        connection, self._connection = self._connection, None
        if self.fp.peek(1) and connection is not None:
            connection.out_of_step = True
        super()._close_conn()  # type: ignore[misc]
