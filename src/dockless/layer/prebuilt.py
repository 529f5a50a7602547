"""Layers that exist already, as a tar: taken as they are, both digests computed in one pass."""

from __future__ import annotations

import hashlib
import os
from typing import BinaryIO

from dockless.errors import LayerError, LayoutError
from dockless.layer.builder import BuiltLayer
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.tar.decompress import decoded, wire_format
from dockless.tar.members import MemberReader

_CHUNK = 1 << 20


def add_tarball(path: str, directory: str) -> BuiltLayer:
    """Copies the tar, tar.gz or tar.zst at `path` to `directory`, named by its digest's digits; not a byte is changed.

    It is read to its end: a layer that is cut off, damaged, compressed otherwise or no tar is a LayerError, and leaves
    nothing. Memory is bounded whatever it holds.
    """
    staged = os.path.join(directory, f".dockless-{os.getpid()}-{id(path):x}")
    try:
        with open(path, "rb") as source, open(staged, "xb") as sink:
            copied = _Copied(source, sink)
            diff_id, size, members = _inside(copied, path)
        os.replace(staged, os.path.join(directory, copied.digest.hex))
    except OSError as error:
        name = os.fsdecode(error.filename) if error.filename else path
        raise LayerError(f"cannot take the layer {path}", cause=f"{name}: {error.strerror or error}") from error
    except LayoutError as error:
        raise LayerError(error.problem, cause=error.cause, hint=error.hint) from error
    finally:
        if os.path.exists(staged):
            os.unlink(staged)
    return BuiltLayer(
        Descriptor(media_types.layer_media_type(copied.wire_format), copied.digest, copied.size),
        diff_id,
        f"{copied.wire_format}, as it was given",
        members,
        size,
    )


class _Copied:
    """A file that is copied and hashed while it is read."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._hash = hashlib.sha256()
        self.size = 0
        self.wire_format = "none"

    def read(self, n: int = _CHUNK) -> bytes:
        data = self._source.read(n)
        if not self.size:
            self.wire_format = wire_format(data)
        self.size += len(data)
        self._hash.update(data)
        self._sink.write(data)
        return data

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._hash.hexdigest())


def _inside(copied: _Copied, path: str) -> tuple[Digest, int, int]:
    """The diff id, the size and the number of entries of what is inside."""
    digest = hashlib.sha256()
    size = 0
    members = MemberReader(path)
    for piece in decoded(copied, path):
        digest.update(piece)
        size += len(piece)
        members.feed(piece)
    while copied.read():
        # What a decoder need not look at is part of the blob all the same.
        continue
    members.finish()
    return Digest("sha256:" + digest.hexdigest()), size, members.count
