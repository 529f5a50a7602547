"""Verified copies of blobs: size and digest are checked before the bytes get a final name."""

from __future__ import annotations

from typing import BinaryIO, Callable

from dockless.blobs import BlobSource, VerifiedReader, read_twice
from dockless.oci.descriptor import Descriptor

_CHUNK = 1 << 20
# Called for each chunk that was written, with the blob and the number of bytes; negative when a copy starts again.
OnBytes = Callable[[Descriptor, int], None]


def ignore_bytes(descriptor: Descriptor, size: int) -> None:
    """Do nothing. An OnBytes."""


def copy_blob(source: BlobSource, descriptor: Descriptor, sink: BinaryIO, on_bytes: OnBytes = ignore_bytes) -> None:
    """Write a blob's bytes to `sink`, which must be seekable. Raises LayoutError if they do not match `descriptor`."""
    begin = sink.tell()

    def rewind() -> None:
        on_bytes(descriptor, begin - sink.tell())
        sink.seek(begin)

    read_twice(lambda: _copy(source, descriptor, sink, on_bytes), rewind)


def _copy(source: BlobSource, descriptor: Descriptor, sink: BinaryIO, on_bytes: OnBytes) -> None:
    with source.open(descriptor) as file:
        reader = VerifiedReader(file, descriptor)
        while data := reader.read1(_CHUNK):
            sink.write(data)
            on_bytes(descriptor, len(data))
