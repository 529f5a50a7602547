"""TLS with a registry through a proxy that is itself spoken to by TLS: `ssl` can wrap no socket of its own again."""

from __future__ import annotations

import io
import ssl
import time
from collections.abc import Callable
from typing import Any

_RECORD = 64 * 1024


class TlsInTls:
    """As much of a socket as http.client and we use. Raises what `ssl` raises for either."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._readers = 0
        self._closed = False
        # The outer connection ended.
        self._cut = False
        self._handshake(outer.gettimeout())

    def send(self, data: Any) -> int:
        return int(self._pump(lambda: self._inner.write(data)))

    def sendall(self, data: Any) -> None:
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]

    def recv_into(self, buffer: Any) -> int:
        try:
            n = int(self._pump(lambda: self._inner.read(len(buffer), buffer)))
        except ssl.SSLZeroReturnError:
            return 0
        if not n and self._cut:
            # CPython 3.9 with OpenSSL 3 does not tell this from an end that the peer declared.
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
        return n

    def makefile(self, mode: str) -> io.BufferedReader:
        """A reader; `mode` is "rb"."""
        self._readers += 1
        return io.BufferedReader(_Reader(self))

    def reader_closed(self) -> None:
        self._readers -= 1
        self._close_when_unused()

    def pending(self) -> int:
        """Bytes that came and were not read."""
        return self._inner.pending() + self._incoming.pending + self._outer.pending()

    def settimeout(self, seconds: float | None) -> None:
        self._outer.settimeout(seconds)

    def fileno(self) -> int:
        return self._outer.fileno()

    def close(self) -> None:
        """Closes it when its last reader is closed, as a socket does: http.client reads an answer to its end after."""
        self._closed = True
        self._close_when_unused()

    def _close_when_unused(self) -> None:
        if self._closed and self._readers <= 0:
            self._outer.close()

    def _handshake(self, seconds: float | None) -> None:
        """All of it within the time that a socket's own handshake has. Raises TimeoutError."""
        end = None if seconds is None else time.monotonic() + seconds

        def shorten() -> None:
            if end is not None:
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError("the handshake operation timed out")
                self._outer.settimeout(left)

        self._pump(self._inner.do_handshake, shorten)
        self._outer.settimeout(seconds)

    def _pump(self, step: Callable[[], Any], before_reading: Callable[[], None] = lambda: None) -> Any:
        """Does `step`, carrying what it wants to read and has written."""
        while True:
            try:
                found = step()
            except ssl.SSLWantReadError:
                self._flush()
                before_reading()
                if data := self._outer.recv(_RECORD):
                    self._incoming.write(data)
                else:
                    self._cut = True
                    self._incoming.write_eof()
                continue
            finally:
                self._flush()
            return found

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._outer.sendall(data)


class _Reader(io.RawIOBase):
    def __init__(self, connection: TlsInTls) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._connection.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._connection.reader_closed()
