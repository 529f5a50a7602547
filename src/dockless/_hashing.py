"""Streams that compute the size and the SHA-256 digest of the bytes that pass through."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Callable, Protocol

from dockless._units import format_count
from dockless.errors import LayoutError
from dockless.oci.digest import Digest

_CHUNK = 1 << 20


class Readable(Protocol):
    """Anything with `read`, as a binary file."""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        ...


class _Hashed:
    """`size` in bytes and `digest` of all bytes so far."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._hash.hexdigest())

    def _add(self, data: bytes) -> None:
        self._hash.update(data)
        self.size += len(data)


class HashingWriter(_Hashed):
    """Passes what is written to `write`."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        super().__init__()
        self._write = write

    def write(self, data: bytes) -> None:
        self._add(data)
        self._write(data)


class HashingFile(_Hashed):
    """Reads from `file`, at most `limit` bytes (None: all); `on_data` is called with each piece."""

    def __init__(
        self, file: Readable, on_data: Callable[[bytes], object] | None = None, *, limit: int | None = None
    ) -> None:
        super().__init__()
        self._read = file.read
        self._limit = limit
        self._on_data = on_data
        self._peeked = b""

    def peek(self, size: int = 1 << 16) -> bytes:
        """Return the next bytes, up to `size`, which `read` returns again."""
        self._peeked = self._peeked or self._next(size)
        return self._peeked

    def read(self, size: int) -> bytes:
        if self._peeked:
            data, self._peeked = self._peeked, b""
            return data
        return self._next(size)

    def drain(self) -> None:
        """Read to the end."""
        self._peeked = b""
        while self._next(_CHUNK):
            pass

    def _next(self, size: int) -> bytes:
        if self._limit is not None:
            size = min(size, self._limit - self.size)
        data = self._read(size) if size else b""
        self._add(data)
        if self._on_data is not None:
            self._on_data(data)
        return data


class HashingReader(_Hashed):
    """Reads the bytes of an iterator of chunks, forwards and once. Errors name the stream `label`."""

    def __init__(self, chunks: Iterator[bytes], label: str) -> None:
        super().__init__()
        self._chunks = chunks
        self._label = label
        self._chunk = memoryview(b"")
        self.ended = False

    def read(self, size: int) -> bytes:
        """Return at least one byte and up to `size`; none at the end."""
        while not self._chunk and not self.ended:
            self._pull()
        data = bytes(self._chunk[:size])
        self._chunk = self._chunk[size:]
        return data

    def read_exactly(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end."""
        parts = [self.read(size)]
        missing = size - len(parts[0])
        while missing and parts[-1]:
            parts.append(self.read(missing))
            missing -= len(parts[-1])
        return b"".join(parts) if len(parts) > 1 else parts[0]

    def skip(self, size: int) -> None:
        """Skip `size` bytes. Raises LayoutError if there are fewer."""
        while size:
            while not self._chunk:
                if self.ended:
                    raise LayoutError(
                        f"{self._label} is truncated", cause=f"a file lacks its last {format_count(size, 'byte')}"
                    )
                self._pull()
            passed = min(size, len(self._chunk))
            self._chunk = self._chunk[passed:]
            size -= passed

    def drain(self) -> None:
        """Read to the end."""
        while not self.ended:
            self._pull()

    def _pull(self) -> None:
        chunk = next(self._chunks, b"")
        self.ended = not chunk
        self._add(chunk)
        self._chunk = memoryview(chunk)
