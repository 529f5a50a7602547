"""Blobs on their way to the disk: no byte gets a final name before size and digest are right."""

from __future__ import annotations

import hashlib
from typing import BinaryIO, Callable

from dockless.blobs import BlobSource, rewrite_hint
from dockless.errors import LayoutError, RegistryError
from dockless.oci.descriptor import Descriptor

_CHUNK = 1 << 20
# Told of each piece that was written: which blob, and how many bytes.
Moved = Callable[[Descriptor, int], None]


def ignored(descriptor: Descriptor, size: int) -> None:
    """A `Moved` that tells nobody."""


def copy_blob(source: BlobSource, descriptor: Descriptor, sink: BinaryIO, moved: Moved = ignored) -> None:
    """Writes a blob's bytes to `sink`, which can seek. Raises LayoutError when they are not what `descriptor` says."""
    begin = sink.tell()
    try:
        _copy(source, descriptor, sink, moved)
    except RegistryError as error:
        if not error.damaged_once:
            raise
        moved(descriptor, begin - sink.tell())
        sink.seek(begin)
        _copy(source, descriptor, sink, moved)


def _copy(source: BlobSource, descriptor: Descriptor, sink: BinaryIO, moved: Moved) -> None:
    found = hashlib.sha256()
    size = 0
    with source.open(descriptor) as file:
        # What is there, not a whole chunk: over a slow line that takes long, and somebody may press Ctrl-C meanwhile.
        read = getattr(file, "read1", file.read)
        while data := read(min(_CHUNK, descriptor.size - size + 1)):
            size += len(data)
            if size > descriptor.size:
                break
            found.update(data)
            sink.write(data)
            moved(descriptor, len(data))
    if size != descriptor.size:
        raise LayoutError(
            f"the blob {descriptor.digest} is damaged",
            cause=f"it has {'more than ' if size > descriptor.size else ''}{min(size, descriptor.size)} bytes"
            + ("" if size > descriptor.size else f", not {descriptor.size}"),
            hint=rewrite_hint(file),
        )
    if found.hexdigest() != descriptor.digest.hex:
        raise LayoutError(
            f"the blob {descriptor.digest} is damaged",
            cause=f"its digest is sha256:{found.hexdigest()}",
            hint=rewrite_hint(file),
        )
