"""Blob sources: the interface through which blobs of layouts, archives and registries are read."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple, Protocol, TypeVar

from dockless._files import open_regular
from dockless._hashing import HashingFile
from dockless._units import format_count
from dockless.errors import LayoutError, RegistryError
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest

T = TypeVar("T")


class BlobSource(Protocol):
    """A holder of manifests, configs and layers by digest."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Return the blob's bytes, from their start; the caller closes the file.

        The bytes are not verified: the caller must compare size and digest before the bytes get a final name, and
        read at most one byte more than the size. Raises LayoutError or RegistryError if the source has no such blob.
        """
        ...


class MemoryBlobs:
    """Blobs in memory; others come from `default`. A BlobSource."""

    def __init__(self, blobs: Mapping[Digest, bytes], default: BlobSource) -> None:
        self._blobs = blobs
        self._default = default

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Return the blob's bytes. Raises what `default` raises."""
        data = self._blobs.get(descriptor.digest)
        return self._default.open(descriptor) if data is None else io.BytesIO(data)


class DirectoryBlobs:
    """Blobs that are files of a directory, named by the hex digits of their digests. A BlobSource."""

    def __init__(self, directory: str, default: BlobSource | None = None) -> None:
        self._directory = directory
        self._default = default

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Return the blob's file, or the blob of `default`. Raises LayoutError if neither has it."""
        try:
            return open_regular(os.path.join(self._directory, descriptor.digest.hex))
        except OSError as error:
            if self._default is not None:
                return self._default.open(descriptor)
            raise LayoutError(f"the blob {descriptor.digest} is not in {self._directory}") from error


class RoutedBlobs(NamedTuple):
    """Several sources as one: `routes` names the source of some blobs, `default` has the others. A BlobSource."""

    default: BlobSource
    routes: Mapping[Digest, BlobSource]

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Return the blob's bytes from its source. Raises what that source raises."""
        return self.routes.get(descriptor.digest, self.default).open(descriptor)


class MissingBlobs:
    """Holds no blob: for an image that names blobs whose source is not known. A BlobSource."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Raise LayoutError."""
        raise LayoutError(f"no source is known for the blob {descriptor.digest}")


class DamagedError(LayoutError):
    """The bytes of a blob do not match its descriptor."""


class VerifiedReader(HashingFile):
    """Reads the bytes of a blob from `file`: at most one more than its descriptor says.

    The last bytes are returned when size and digest are right. Whoever passes on what is read never passes on all of a
    damaged blob. Reading raises DamagedError, whose text names the blob `label`.

    `start` is a reader of the same blob: reading continues where that reader is, and `file` is at the same position.
    """

    def __init__(
        self, file: BinaryIO, descriptor: Descriptor, label: str = "", *, start: VerifiedReader | None = None
    ) -> None:
        super().__init__(file, limit=descriptor.size + 1)
        self._blob = file
        self._descriptor = descriptor
        self._label = label or f"the blob {descriptor.digest}"
        self._is_verified = False
        if start is not None:
            self._hash, self.size = start._hash.copy(), start.size

    def read1(self, size: int) -> bytes:
        """Return up to `size` bytes as they arrive, without waiting for all of them; none at the end."""
        blob: Any = self._blob
        self._read = getattr(blob, "read1", blob.read)
        return self.read(size)

    def copy(self) -> VerifiedReader:
        """Return a reader at the same position, which is only good as the `start` of another."""
        return VerifiedReader(self._blob, self._descriptor, self._label, start=self)

    def _next(self, size: int) -> bytes:
        descriptor = self._descriptor
        if self._is_verified or not size:
            return b""
        data = super()._next(min(size, max(1, descriptor.size - self.size)))
        if not data or self.size >= descriptor.size:
            # One byte more shows a blob that is too long.
            size_found = self.size + len(self._blob.read(1) if self.size == descriptor.size else b"")
            if size_found != descriptor.size or self.digest != descriptor.digest:
                raise damaged(self._label, self._blob, descriptor, size_found, self.digest)
            self._is_verified = True
        return data


def read_twice(read: Callable[[], T], on_damage: Callable[[], object] = lambda: None) -> T:
    """Return the result of `read`, which reads a blob from its start to its end.

    If the blob was corrupted for the first time, for example in transit, `on_damage` and then `read` are called once
    more.
    """
    try:
        return read()
    except RegistryError as error:
        if not error.damaged_once:
            raise
    on_damage()
    return read()


def rewrite_hint(file: BinaryIO) -> str:
    """Return what to do about a blob whose bytes are wrong: a file on disk is named, a stream has no name."""
    name = getattr(file, "name", None)
    return f"replace the file {name}" if isinstance(name, str) else ""


def damaged(label: str, file: BinaryIO, descriptor: Descriptor, size: int, digest: str) -> DamagedError:
    """Return the error for bytes of `size` and `digest`, read from `file`, that do not match `descriptor`."""
    if size < descriptor.size:
        cause = f"it has {format_count(size, 'byte')}, not {descriptor.size}"
    elif size > descriptor.size:
        cause = f"it has more than {format_count(descriptor.size, 'byte')}"
    else:
        cause = f"its digest is {digest}"
    return DamagedError(f"{label} is damaged", cause=cause, hint=rewrite_hint(file))
