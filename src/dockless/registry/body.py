"""A part of a blob as the body of a request: its length known, its source opened when it is read."""

from __future__ import annotations

import hashlib
import io
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple, NoReturn

from dockless.content import ContentSource, write_anew
from dockless.crew import Stopped
from dockless.descriptor import Descriptor
from dockless.errors import DocklessError, LayoutError, printable
from dockless.registry.clock import Clock
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
    ) -> None:
        self._source = source
        self._descriptor = descriptor
        self._start = start
        self._length = length
        self._left = length
        self._sending = sending
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def read(self, n: int = -1) -> bytes:
        if not self._left:
            self.close()
            return b""
        with self._ours():
            file = self._opened()
            data = file.read(min(self._left, n) if n >= 0 else self._left)
        if not data:
            self.ends_early(file)
        self._left -= len(data)
        self._sending(len(data))
        return data

    def slices(self) -> Iterator[FileSlice] | None:
        """The same bytes for the kernel to send, where they lie in a file as they are; else None."""
        with self._ours():
            file = self._opened()
            # A member of an archive is a reader of its own over the archive's file.
            plain = isinstance(file.raw if isinstance(file, io.BufferedReader) else file, io.FileIO)
        return self._slices(file) if plain and hasattr(os, "sendfile") else None

    def _slices(self, file: BinaryIO) -> Iterator[FileSlice]:
        while self._left:
            piece = FileSlice(self, file, self._start + self._length - self._left, min(self._left, BLOCK))
            self._left -= piece.length
            self._sending(piece.length)
            yield piece
        self.close()

    @contextmanager
    def _ours(self) -> Iterator[None]:
        """What a disk or a broken archive raises is not the network's, and not better when it is tried again."""
        try:
            yield
        except (DocklessError, Stopped):
            raise
        except Exception as error:
            cause = printable(str(error) or type(error).__name__, 200)
            raise LayoutError(f"the blob {self._descriptor.digest} to be pushed cannot be read", cause=cause) from error

    def ends_early(self, file: BinaryIO, under_way: int = 0) -> NoReturn:
        """Raises LayoutError for a source that is shorter than its blob, `under_way` bytes of a slice included."""
        hint, left = write_anew(file) or "make the image anew", self._left + under_way
        self.close()
        raise LayoutError(f"the blob {self._descriptor.digest} to be pushed ends {left} bytes early", hint=hint)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

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


class FileSlice(NamedTuple):
    """A piece of a file, to be copied to a socket by the kernel (sendfile(2))."""

    part: BlobPart
    file: BinaryIO
    offset: int
    length: int

    def send(self, sock: socket.socket, clock: Clock) -> None:
        """Sends it. Raises what a socket raises, Stalled, and LayoutError when the file has become shorter."""
        import urllib3.util

        offset, end, pace = self.offset, self.offset + self.length, Pace()
        while offset < end:
            begin = clock.monotonic()
            try:
                n = os.sendfile(sock.fileno(), self.file.fileno(), offset, end - offset)
            except BlockingIOError:
                if not urllib3.util.wait_for_write(sock, sock.gettimeout()):
                    raise TimeoutError("nothing went in time") from None
                n = -1
            if n == 0:
                self.part.ends_early(self.file, end - offset)
            offset += max(n, 0)
            pace.check(max(n, 0), clock.monotonic() - begin, "what is sent")


def check_source(source: ContentSource, descriptor: Descriptor) -> None:
    """Raises LayoutError when it is our own copy of a blob that is damaged."""
    digest, size = hashlib.sha256(), 0
    with source.open(descriptor) as file:
        while data := file.read(BLOCK):
            digest.update(data)
            size += len(data)
    cause = ""
    if size != descriptor.size:
        cause = f"it has {size} bytes, not {descriptor.size}"
    elif digest.hexdigest() != descriptor.digest.hex:
        cause = f"its content has the digest sha256:{digest.hexdigest()}"
    if cause:
        raise LayoutError(
            f"the blob {descriptor.digest} to be pushed is damaged",
            cause=cause,
            hint=write_anew(file) or "make the image anew",
        )
