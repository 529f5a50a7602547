"""HTTP/1.1 on an accepted socket: parsing of requests, streaming of bodies, and ways to break a connection.

RFC 9112. `http.server` is not used, because faults act between any two bytes.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import struct
from email.message import Message
from http import HTTPStatus
from typing import NamedTuple

from dockless._units import format_count
from dockless.testing.message import CHUNK, BrokenBodyError, parse_number

_MAX_LINE = 65536
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}\Z")


class BadRequestError(Exception):
    """The received bytes are not an HTTP request."""


class Head(NamedTuple):
    """The request line and headers."""

    method: str
    target: str
    version: str
    headers: Message

    @property
    def keep_alive(self) -> bool:
        """Whether the client wants to send another request on this connection."""
        wish = self.headers.get("Connection", "").lower()
        return "close" not in wish if self.version == "HTTP/1.1" else "keep-alive" in wish


class Connection:
    """A connection from a client."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        # A response is several small writes: without TCP_NODELAY, delayed acknowledgments cost 40 ms each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = sock.makefile("rb")

    def read_head(self) -> Head | None:
        """Return the head of the next request; None if the client closed the connection. Raises BadRequestError."""
        line = self.reader.readline(_MAX_LINE + 1)
        while line in (b"\r\n", b"\n"):
            line = self.reader.readline(_MAX_LINE + 1)
        if not line:
            return None
        parts = line.decode("latin-1").split()
        if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not line.endswith(b"\n"):
            raise BadRequestError(f"invalid HTTP request line: {line[:80]!r}")
        try:
            headers = http.client.parse_headers(self.reader)
        except http.client.HTTPException as error:
            raise BadRequestError(f"invalid headers: {error}") from None
        return Head(parts[0], parts[1], parts[2], headers)

    def send_head(self, status: int, headers: list[tuple[str, str]], *, only: int | None = None) -> None:
        """Send the status line and headers, or their first `only` bytes."""
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers), "", ""]
        self._sock.sendall("\r\n".join(lines).encode("utf-8", "surrogateescape")[:only])

    def send(self, data: bytes) -> None:
        """Send bytes of a body."""
        self._sock.sendall(data)

    def close(self) -> None:
        """Close the connection with FIN, after reading data in transit.

        A close with unread data makes the kernel send RST, and the client may lose the response.
        """
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
            self._sock.settimeout(0.5)
            for _ in range(64):
                if not self._sock.recv(CHUNK):
                    break
        self._release()

    def reset(self) -> None:
        """Close the connection with RST, as a crashed or overloaded peer does."""
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._release()

    def _release(self) -> None:
        # The socket is closed only after its file object.
        with contextlib.suppress(OSError):
            self.reader.close()
        self._sock.close()


class RequestBody:
    """A request body, by Content-Length or chunked (RFC 9112, 6 and 7.1). Counts and keeps the received bytes.

    `cut_at`: a fault closes the connection after this many bytes. `kept` has the first 64 KiB.
    """

    KEPT = 64 * 1024

    def __init__(self, connection: Connection, head: Head) -> None:
        self._connection = connection
        self._chunked = "chunked" in head.headers.get("Transfer-Encoding", "").lower()
        text = head.headers.get("Content-Length", "0").strip()
        length = parse_number(text)
        if not self._chunked and length is None:
            raise BadRequestError(f"Content-Length is {text[:80]!r}")
        self._left = 0 if self._chunked else length or 0
        self._ended = not self._chunked and not self._left
        # A client with `Expect: 100-continue` waits for this before it sends the body (RFC 9110, 10.1.1).
        self._expects_continue = head.headers.get("Expect", "").lower() == "100-continue"
        self.cut_at: int | None = None
        self.received = 0
        self.kept = b""

    @property
    def ended(self) -> bool:
        """Whether all of the body was read."""
        return self._ended

    def read(self, size: int = CHUNK) -> bytes:
        """Return up to `size` bytes of the body, and no bytes at its end. Raises BrokenBodyError."""
        if self._ended:
            return b""
        if self.cut_at is not None:
            size = min(size, self.cut_at - self.received)
            if size <= 0:
                raise BrokenBodyError(f"a fault cut the body after {format_count(self.received, 'byte')}")
        if self._expects_continue:
            self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expects_continue = False
        try:
            found = self._read(size)
        except BrokenBodyError:
            raise
        except OSError as error:
            raise BrokenBodyError(str(error)) from None
        self.received += len(found)
        if len(self.kept) < self.KEPT:
            self.kept += found[: self.KEPT - len(self.kept)]
        return found

    @property
    def drainable(self) -> bool:
        """Return whether the rest can be read, so that the connection can be used again."""
        return not self._expects_continue and self.cut_at is None

    def _read(self, size: int) -> bytes:
        reader = self._connection.reader
        if self._chunked and not self._left:
            line = reader.readline(_MAX_LINE)
            size_text = line.split(b";")[0].strip()
            if not _CHUNK_SIZE.match(size_text):
                raise BrokenBodyError(f"invalid chunk size: {line[:40]!r}")
            self._left = int(size_text, 16)
            if not self._left:
                while reader.readline(_MAX_LINE) not in (b"\r\n", b"\n", b""):
                    pass
                self._ended = True
                return b""
        found = reader.read1(min(size, self._left))
        if not found:
            raise BrokenBodyError(
                f"the client closed the connection after {format_count(self.received, 'byte')} of the body"
            )
        self._left -= len(found)
        if not self._left:
            if self._chunked:
                reader.readline(_MAX_LINE)
            else:
                self._ended = True
        return found
