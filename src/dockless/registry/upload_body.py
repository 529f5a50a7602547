"""Parts of a blob as bodies of requests: their length known, the source opened when the first is read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn

from dockless._concurrency import Stopped
from dockless.blobs import ContentSource, write_anew
from dockless.errors import DocklessError, LayoutError, printable
from dockless.oci.descriptor import Descriptor
from dockless.registry.errors import Failure

BLOCK = 1 << 20


class OpenBlob:
    """A blob's source, open from one part to the next: those that follow on each other read it once.

    Raises LayoutError for what a disk or a broken archive raises: it is not the network's, and no better next time.
    """

    def __init__(self, source: ContentSource, descriptor: Descriptor) -> None:
        self.descriptor = descriptor
        self._source = source
        self._file: BinaryIO | None = None
        self._at = 0

    def read(self, start: int, n: int) -> bytes:
        """At most `n` bytes from `start`. Raises LayoutError at the end, which is one before the blob's."""
        with self._ours():
            file = self._opened(start)
            data = file.read(n)
        if not data:
            self.ends_early(start)
        self._at += len(data)
        return data

    def ends_early(self, end: int) -> NoReturn:
        """Raises LayoutError for a source that ends at `end`."""
        hint = (write_anew(self._file) if self._file is not None else "") or "make the image anew"
        early = self.descriptor.size - end
        raise LayoutError(f"the blob {self.descriptor.digest} to be pushed ends {early} bytes early", hint=hint)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self, start: int) -> BinaryIO:
        """The file, standing at `start`."""
        if self._file is not None and self._at == start:
            return self._file
        if self._file is None or not self._file.seekable():
            self.close()
            self._file, self._at = self._source.open(self.descriptor), 0
        if self._at != start and self._file.seekable():
            self._file.seek(start)
            self._at = start
        while self._at < start and (data := self._file.read(min(start - self._at, BLOCK))):
            self._at += len(data)
        return self._file

    @contextmanager
    def _ours(self) -> Iterator[None]:
        try:
            yield
        except Failure as error:
            self.close()
            error.of_source, error.transient = True, error.damaged_once
            raise
        except (DocklessError, Stopped):
            self.close()
            raise
        except Exception as error:
            self.close()
            cause = printable(str(error) or type(error).__name__, 200)
            raise LayoutError(f"the blob {self.descriptor.digest} to be pushed cannot be read", cause=cause) from error


class BlobPart(io.RawIOBase):
    """`length` bytes of a blob from `start`. `sending` is told of each block just before it goes out."""

    def __init__(self, blob: OpenBlob, start: int, length: int, sending: Callable[[int], None]) -> None:
        self._blob = blob
        self._length = length
        self._at = start
        self._end = start + length
        self._sending = sending

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def read(self, n: int = -1) -> bytes:
        left = self._end - self._at
        if not left:
            return b""
        data = self._blob.read(self._at, min(left, n) if n >= 0 else left)
        self._at += len(data)
        self._sending(len(data))
        return data


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
