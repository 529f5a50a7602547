"""Content sources of what is at hand: documents in memory, blobs in a folder."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import BinaryIO

from dockless.blobs import ContentSource
from dockless.errors import LayoutError
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest


class MemoryContent:
    """Blobs in memory; others from `default`. A ContentSource."""

    def __init__(self, blobs: Mapping[Digest, bytes], default: ContentSource) -> None:
        self._blobs = blobs
        self._default = default

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's bytes."""
        data = self._blobs.get(descriptor.digest)
        return self._default.open(descriptor) if data is None else io.BytesIO(data)


class FolderContent:
    """Blobs that are files of a folder, named by their digests' digits; others from `default`. A ContentSource."""

    def __init__(self, folder: str, default: ContentSource | None = None) -> None:
        self._folder = folder
        self._default = default

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's file. Raises LayoutError when it is nowhere."""
        try:
            return open(os.path.join(self._folder, descriptor.digest.hex), "rb")
        except OSError as error:
            if self._default is not None:
                return self._default.open(descriptor)
            raise LayoutError(f"the blob {descriptor.digest} is not in {self._folder}") from error


class Absent:
    """Holds no blob: what an image refers to, and nobody said where it is. A ContentSource."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Raises LayoutError."""
        raise LayoutError(f"the blob {descriptor.digest} is to be had nowhere", cause="the image does not say where")
