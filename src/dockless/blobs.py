"""Blob sources: the interface through which blobs of layouts, archives and registries are read."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import BinaryIO, NamedTuple, Protocol

from dockless._files import open_regular
from dockless.errors import LayoutError
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest


class BlobSource(Protocol):
    """A holder of manifests, configs and layers by digest."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Return the blob's bytes, from their start; the caller closes the file.

        The bytes are not verified: the caller must compare size and digest before the bytes get a final name. Raises
        LayoutError or RegistryError if the source has no such blob.
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


def rewrite_hint(file: BinaryIO) -> str:
    """Return what to do about a blob whose bytes are wrong: a file on disk is named, a stream has no name."""
    name = getattr(file, "name", None)
    return f"write {name} again" if isinstance(name, str) else ""


def damaged(label: str, file: BinaryIO, descriptor: Descriptor, size: int, digest: str) -> LayoutError:
    """Return the error for bytes of `size` and `digest`, read from `file`, that do not match `descriptor`."""
    if size < descriptor.size:
        cause = f"it has {size} bytes, not {descriptor.size}"
    elif size > descriptor.size:
        cause = f"it has more than {descriptor.size} bytes"
    else:
        cause = f"its digest is {digest}"
    return LayoutError(f"{label} is damaged", cause=cause, hint=rewrite_hint(file))
