"""A part of a blob as the body of a request: its length known, its source opened when it is read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import BinaryIO

from dockless.content import ContentSource, write_anew
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
        now = self._clock.monotonic()
        if self._sent_at is not None and self._pace.stalled(self._last, now - self._sent_at):
            self.close()
            raise ConnectionFailed(
                f"sending {self._descriptor.digest} stalled", cause="less than 1 KiB a second went for a minute"
            )
        if not self._left:
            self.close()
            return b""
        if self._file is None:
            self._file = self._open()
        data = self._file.read(min(self._left, n) if n >= 0 else self._left)
        if not data:
            hint = write_anew(self._file) or "make the image anew"
            self.close()
            raise LayoutError(
                f"the blob {self._descriptor.digest} to be pushed ends {self._left} bytes early", hint=hint
            )
        self._left -= len(data)
        self._sending(len(data))
        self._last, self._sent_at = len(data), self._clock.monotonic()
        return data

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()

    def _open(self) -> BinaryIO:
        file = self._source.open(self._descriptor)
        if self._start and file.seekable():
            file.seek(self._start)
        else:
            skip = self._start
            while skip and (data := file.read(min(skip, BLOCK))):
                skip -= len(data)
        return file


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
            hint=write_anew(file) or "make the image anew",
        )
