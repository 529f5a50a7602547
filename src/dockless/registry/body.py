"""A part of a blob as the body of a request: its length known, its source opened when it is read."""

from __future__ import annotations

import hashlib
import io
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

from dockless.content import ContentSource
from dockless.descriptor import Descriptor
from dockless.errors import LayoutError
from dockless.registry.clock import Clock
from dockless.registry.errors import ConnectionFailed
from dockless.registry.pace import Pace

BLOCK = 1 << 20


class BlobPart(io.RawIOBase):
    """`length` bytes of a blob from `start`. `sending` is told of each block just before it goes out."""

    def __init__(
        self,
        source: ContentSource,
        descriptor: Descriptor,
        start: int,
        length: int,
        sending: Callable[[int], None],
        clock: Clock,
    ) -> None:
        self._source = source
        self._descriptor = descriptor
        self._start = start
        self._length = length
        self._left = length
        self._sending = sending
        self._clock = clock
        self._pace = Pace()
        self._file: BinaryIO | None = None
        self._sent_at: float | None = None
        self._last = 0

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def read(self, n: int = -1) -> bytes:
        wanted = self._wanted(n)
        if not wanted:
            return b""
        data = self._opened().read(wanted)
        if not data:
            raise self._too_short()
        self._goes_out(len(data))
        return data

    def pieces(self) -> Iterator[bytes | FilePiece]:
        """All of it, for whoever can send from a file: its blocks stay in the file, others are read."""
        while wanted := self._wanted(BLOCK):
            file = self._opened()
            if not _is_plain_file(file):
                yield self.read(wanted)
                continue
            piece = FilePiece(file.fileno(), self._start + self._length - self._left, wanted, self._too_short)
            self._goes_out(wanted)
            yield piece

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

    def _wanted(self, n: int) -> int:
        """How much of `n` bytes (negative: any number) is to be sent next; 0 at the end. What went before is there."""
        now = self._clock.monotonic()
        if self._sent_at is not None:
            stalled = self._pace.stalled(self._last, now - self._sent_at)
            self._sent_at = None
            if stalled:
                self.close()
                raise ConnectionFailed(
                    f"sending {self._descriptor.digest} stalled", cause="less than 1 KiB a second went for a minute"
                )
        if not self._left:
            self.close()
        return min(self._left, n) if n >= 0 else self._left

    def _goes_out(self, n: int) -> None:
        self._left -= n
        self._sending(n)
        self._last, self._sent_at = n, self._clock.monotonic()

    def _too_short(self, of_piece: int = 0) -> LayoutError:
        """The error for a source that ends `of_piece` bytes before the end of what is on its way."""
        self.close()
        return LayoutError(
            f"the blob {self._descriptor.digest} to be pushed ends {self._left + of_piece} bytes early",
            hint="make the image anew",
        )

    def _opened(self) -> BinaryIO:
        if self._file is None:
            self._file = self._open()
        return self._file

    def _open(self) -> BinaryIO:
        file = self._source.open(self._descriptor)
        if self._start and file.seekable():
            file.seek(self._start)
        else:
            skip = self._start
            while skip and (data := file.read(min(skip, BLOCK))):
                skip -= len(data)
        return file


class FilePiece(NamedTuple):
    """`length` bytes of an open file from `start`. `too_short` makes the error for a file that misses some."""

    descriptor: int
    start: int
    length: int
    too_short: Callable[[int], LayoutError]

    def send(self, sock: socket.socket) -> None:
        """Sends it without reading it, as `sendall` would: `sock`'s timeout is for the whole of it. Raises OSError."""
        timeout = sock.gettimeout()
        end = None if timeout is None else time.monotonic() + timeout
        writable = select.poll()
        writable.register(sock, select.POLLOUT)
        done = 0
        while done < self.length:
            try:
                n = os.sendfile(sock.fileno(), self.descriptor, self.start + done, self.length - done)
            except BlockingIOError:
                left = None if end is None else max(0.0, end - time.monotonic()) * 1000
                if not writable.poll(left):
                    raise TimeoutError("timed out") from None
                continue
            if not n:
                raise self.too_short(self.length - done)
            done += n


def _is_plain_file(file: BinaryIO) -> bool:
    """Whether a file's bytes are those of its descriptor; of a reader of gzip they are not."""
    return isinstance(file.raw if isinstance(file, io.BufferedReader) else file, io.FileIO)


def check_source(source: ContentSource, descriptor: Descriptor) -> None:
    """Raises LayoutError when it is our own copy of a blob that is damaged."""
    digest = hashlib.sha256()
    with source.open(descriptor) as file:
        while data := file.read(BLOCK):
            digest.update(data)
    if digest.hexdigest() != descriptor.digest.hex:
        raise LayoutError(
            f"the blob {descriptor.digest} to be pushed is damaged",
            cause=f"its content has the digest sha256:{digest.hexdigest()}",
            hint="make the image anew",
        )
