"""TLS with a registry through a proxy that is itself spoken to by TLS: `ssl` can wrap no socket of its own again."""

from __future__ import annotations

import io
import ssl
from collections.abc import Callable
from typing import Any

_RECORD = 64 * 1024


class TlsInTls:
    """As much of a socket as http.client and we use. Raises what `ssl` raises for either."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._pump(self._inner.do_handshake)

    def send(self, data: Any) -> int:
        return int(self._pump(lambda: self._inner.write(data)))

    def sendall(self, data: Any) -> None:
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]

    def recv_into(self, buffer: Any) -> int:
        try:
            return int(self._pump(lambda: self._inner.read(len(buffer), buffer)))
        except ssl.SSLZeroReturnError:
            return 0

    def makefile(self, mode: str) -> io.BufferedReader:
        """A reader; `mode` is "rb"."""
        return io.BufferedReader(_Reader(self))

    def settimeout(self, seconds: float | None) -> None:
        self._outer.settimeout(seconds)

    def fileno(self) -> int:
        return self._outer.fileno()

    def close(self) -> None:
        self._outer.close()

    def _pump(self, step: Callable[[], Any]) -> Any:
        """Does `step`, carrying what it wants to read and has written."""
        while True:
            try:
                found = step()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._outer.recv(_RECORD):
                    self._incoming.write(data)
                else:
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
