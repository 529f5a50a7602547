"""Parts of a blob as request bodies: their length is known, and the source is opened when the first part is read."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from dockless._concurrency import CancelledError
from dockless.blobs import BlobSource, DamagedError, VerifiedReader
from dockless.errors import DocklessError, LayoutError, printable
from dockless.oci.descriptor import Descriptor
from dockless.registry.errors import BlobSourceError, DamagedBlobError, RegistryRequestError

BLOCK_SIZE = 1 << 20


class OpenBlob:
    """The source of a blob, kept open between parts: consecutive parts are read in one pass.

    What is sent is hashed, and the last bytes are returned when size and digest are right: a damaged blob is never sent
    to its end, and a registry that does not verify cannot store it. A part that is sent again has to be the same as the
    first time. Bytes that an earlier process sent are hashed as the source has them now.

    Raises BlobSourceError for an error of the registry that the source reads from, and LayoutError for an error of a
    disk or an archive.
    """

    def __init__(self, source: BlobSource, descriptor: Descriptor) -> None:
        self._source = source
        self._descriptor = descriptor
        self._label = f"the blob {descriptor.digest} to be pushed"
        self._file: BinaryIO | None = None
        self._reader: VerifiedReader | None = None
        # Readers at positions up to which the blob was read, in order: where reading can begin again, and what the
        # hash has to be there.
        self._checkpoints: list[VerifiedReader] = []
        self._passes = 0

    def read(self, start: int, n: int) -> bytes:
        """Return up to `n` bytes from `start`; none at the end of the blob."""
        with self._source_errors():
            return self._read(self._reader_at(start), n)

    def hash_up_to(self, position: int) -> None:
        """Hash the bytes before `position` that were not hashed yet; at the end of the blob, verify it."""
        self.read(position, int(position == self._descriptor.size))

    def close(self) -> None:
        """Close the source; reading opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _reader_at(self, start: int) -> VerifiedReader:
        """Return a reader at the position `start`, which has hashed all bytes before."""
        reader = self._reader
        if self._file is not None and reader is not None and reader.size == start:
            return reader
        if reader is not None and (not self._checkpoints or reader.size > self._checkpoints[-1].size):
            self._checkpoints.append(reader.copy())
        self._passes += 1
        if self._file is None or not self._file.seekable():
            self.close()
            self._file = self._source.open(self._descriptor)
        before = next((checkpoint for checkpoint in reversed(self._checkpoints) if checkpoint.size <= start), None)
        position = before.size if before else 0
        if self._file.seekable():
            self._file.seek(position)
        else:
            while position and (skipped := self._file.read(min(position, BLOCK_SIZE))):
                position -= len(skipped)
        self._reader = reader = VerifiedReader(self._file, self._descriptor, self._label, start=before)
        while reader.size < start:
            self._read(reader, min(start - reader.size, BLOCK_SIZE))
        return reader

    def _read(self, reader: VerifiedReader, n: int) -> bytes:
        """Return up to `n` bytes, up to the next checkpoint, where the hash must be that of the bytes sent before."""
        last = self._checkpoints[-1].size if self._checkpoints else 0
        following = None
        if reader.size < last:
            following = next(checkpoint for checkpoint in self._checkpoints if checkpoint.size > reader.size)
        data = reader.read(min(n, following.size - reader.size) if following else n)
        if following is None:
            if reader.size - last >= BLOCK_SIZE:
                self._checkpoints.append(reader.copy())
        elif reader.size == following.size and reader.digest != following.digest:
            raise DamagedError(f"{self._label} is damaged", cause="its content changed while it was sent")
        return data

    def _forget(self) -> None:
        self.close()
        self._reader = None
        self._checkpoints.clear()
        self._passes = 0

    @contextmanager
    def _source_errors(self) -> Iterator[None]:
        try:
            yield
        except RegistryRequestError as error:
            self.close()
            if isinstance(error, DamagedBlobError):
                self._forget()
            raise BlobSourceError(error) from error
        except DamagedError as error:
            is_one_pass = self._passes == 1
            self._forget()
            hint = error.hint or "create the image again"
            if is_one_pass:
                raise DamagedError(error.problem, cause=error.cause, hint=hint) from error
            # The parts may be of different content, or damaged in transit. One more pass, from the start, shows which.
            raise BlobSourceError(
                DamagedBlobError(error.problem, cause=error.cause, hint=hint, damaged_once=True)
            ) from error
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
    """Raise DamagedError if the source's own copy of a blob is damaged."""
    with source.open(descriptor) as file:
        VerifiedReader(file, descriptor, f"the blob {descriptor.digest} to be pushed").drain()
