"""Parts of a blob as request bodies: their length is known, and the source is opened when the first part is read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from dockless._concurrency import CancelledError
from dockless.blobs import BlobSource, rewrite_hint
from dockless.errors import DocklessError, LayoutError, printable
from dockless.oci.descriptor import Descriptor
from dockless.registry.errors import BlobSourceError, RegistryRequestError

BLOCK_SIZE = 1 << 20


class OpenBlob:
    """The source of a blob, kept open between parts: consecutive parts are read in one pass.

    Raises BlobSourceError for an error of the registry that the source reads from, and LayoutError for an error of a
    disk or an archive.
    """

    def __init__(self, source: BlobSource, descriptor: Descriptor) -> None:
        self._source = source
        self._descriptor = descriptor
        self._file: BinaryIO | None = None
        self._position = 0

    def read(self, start: int, n: int) -> bytes:
        """Return up to `n` bytes from `start`, which is before the end of the blob."""
        with self._source_errors():
            file = self._opened(start)
            data = file.read(n)
        if not data:
            hint = rewrite_hint(file) or "create the image again"
            missing = self._descriptor.size - start
            raise LayoutError(f"the blob {self._descriptor.digest} to be pushed ends {missing} bytes early", hint=hint)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Close the source; reading opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self, start: int) -> BinaryIO:
        """Return the source at position `start`."""
        if self._file is not None and self._position == start:
            return self._file
        if self._file is None or not self._file.seekable():
            self.close()
            self._file, self._position = self._source.open(self._descriptor), 0
        if self._position != start and self._file.seekable():
            self._file.seek(start)
            self._position = start
        while self._position < start and (data := self._file.read(min(start - self._position, BLOCK_SIZE))):
            self._position += len(data)
        return self._file

    @contextmanager
    def _source_errors(self) -> Iterator[None]:
        try:
            yield
        except RegistryRequestError as error:
            self.close()
            raise BlobSourceError(error) from error
        except (DocklessError, CancelledError):
            self.close()
            raise
        except Exception as error:
            self.close()
            cause = printable(str(error) or type(error).__name__, 200)
            problem = f"the blob {self._descriptor.digest} to be pushed cannot be read"
            raise LayoutError(problem, cause=cause) from error


class BlobPart(io.RawIOBase):
    """`length` bytes of a blob from `start`. `on_read` is called with the size of each block before it is sent."""

    def __init__(self, blob: OpenBlob, start: int, length: int, on_read: Callable[[int], None]) -> None:
        self._blob = blob
        self._length = length
        self._position = start
        self._end = start + length
        self._on_read = on_read

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        """Return True."""
        return True

    def read(self, n: int = -1) -> bytes:
        """Return at most `n` bytes, all if `n` is negative, and no bytes at the end."""
        left = self._end - self._position
        if not left:
            return b""
        data = self._blob.read(self._position, min(left, n) if n >= 0 else left)
        self._position += len(data)
        self._on_read(len(data))
        return data


def check_source(source: BlobSource, descriptor: Descriptor) -> None:
    """Raise LayoutError if the source's own copy of a blob is damaged."""
    digest, size = hashlib.sha256(), 0
    with source.open(descriptor) as file:
        while data := file.read(BLOCK_SIZE):
            digest.update(data)
            size += len(data)
    cause = ""
    if size != descriptor.size:
        cause = f"it has {size} bytes, not {descriptor.size}"
    elif digest.hexdigest() != descriptor.digest.hex:
        cause = f"its content has the digest sha256:{digest.hexdigest()}"
    if cause:
        problem = f"the blob {descriptor.digest} to be pushed is damaged"
        raise LayoutError(problem, cause=cause, hint=rewrite_hint(file) or "create the image again")
