"""Verified copies of blobs: size and digest are checked before the bytes get a final name."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Callable

from dockless.blobs import BlobSource, damaged
from dockless.errors import RegistryError
from dockless.oci.descriptor import Descriptor

_CHUNK = 1 << 20
# Called for each chunk that was written, with the blob and the number of bytes; negative when a copy starts again.
OnBytes = Callable[[Descriptor, int], None]


def ignore_bytes(descriptor: Descriptor, size: int) -> None:
    """Do nothing. An OnBytes."""


def copy_blob(source: BlobSource, descriptor: Descriptor, sink: BinaryIO, on_bytes: OnBytes = ignore_bytes) -> None:
    """Write a blob's bytes to `sink`, which must be seekable. Raises LayoutError if they do not match `descriptor`."""
    begin = sink.tell()
    try:
        _copy(source, descriptor, sink, on_bytes)
    except RegistryError as error:
        if not error.damaged_once:
            raise
        on_bytes(descriptor, begin - sink.tell())
        sink.seek(begin)
        _copy(source, descriptor, sink, on_bytes)


def _copy(source: BlobSource, descriptor: Descriptor, sink: BinaryIO, on_bytes: OnBytes) -> None:
    hasher = hashlib.sha256()
    size = 0
    with source.open(descriptor) as file:
        # `read1` returns what has arrived: on a slow connection a whole chunk takes long, and Ctrl-C must take effect.
        read = getattr(file, "read1", file.read)
        while data := read(min(_CHUNK, descriptor.size - size + 1)):
            size += len(data)
            if size > descriptor.size:
                break
            hasher.update(data)
            sink.write(data)
            on_bytes(descriptor, len(data))
    if size != descriptor.size or hasher.hexdigest() != descriptor.digest.hex:
        raise damaged(f"the blob {descriptor.digest}", file, descriptor, size, f"sha256:{hasher.hexdigest()}")
