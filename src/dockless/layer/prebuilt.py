"""Layers from tar archives that exist already: copied as they are, both digests computed in one pass."""

from __future__ import annotations

import os

from dockless._files import open_regular
from dockless._hashing import HashingFile, HashingReader
from dockless.errors import LayerError, LayoutError
from dockless.layer.builder import BuiltLayer, remove_staged, staged_path
from dockless.layer.member_rules import MemberRules
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.tar.decompress import decompress, detect_format
from dockless.tar.reader import GLOBAL, read_members


def add_tarball(path: str, directory: str) -> BuiltLayer:
    """Copy the tar, tar.gz or tar.zst at `path` to `directory`, named by the hex digits of its digest.

    No byte is changed. The archive is read to its end: one that is truncated, damaged, compressed differently or not a
    tar, or that contains what runtimes refuse, raises LayerError and leaves nothing. Memory is bounded whatever the
    archive holds.
    """
    staged = staged_path(directory)
    try:
        with open_regular(path) as source, open(staged, "xb") as sink:
            blob = HashingFile(source, sink.write)
            compression = detect_format(blob.peek())
            tar = HashingReader(decompress(blob, path), path)
            entries = _count_entries(tar, path)
            tar.drain()
            # A decompressor may stop before the end of the file; the rest is part of the blob.
            blob.drain()
        os.replace(staged, os.path.join(directory, blob.digest.hex))
    except OSError as error:
        name = os.fsdecode(error.filename) if error.filename else path
        raise LayerError(f"cannot take the layer {path}", cause=f"{name}: {error.strerror or error}") from error
    except LayoutError as error:
        raise LayerError(error.problem, cause=error.cause, hint=error.hint) from error
    finally:
        remove_staged(staged)
    return BuiltLayer(
        Descriptor(media_types.layer_media_type(compression), blob.digest, blob.size),
        tar.digest,
        f"{compression}, as it was given",
        entries,
        tar.size,
    )


def check_windows_layer(path: str) -> None:
    """Raise LayerError unless the members of the layer at `path` are those of a layer for Windows."""
    with open_regular(path) as file:
        _count_entries(HashingReader(decompress(file, path), path), "the layer", windows=True)


def _count_entries(tar: HashingReader, path: str, *, windows: bool = False) -> int:
    """Return the number of members. Raises LayerError for the first problem of a member."""
    rules = MemberRules(path, windows=windows)
    hint = "" if windows else "create the archive again, for example with tar --format=posix"
    entries = 0
    for member in read_members(tar, path):
        for problem in rules.problems(member):
            raise LayerError(problem.line, hint=hint)
        entries += member.kind != GLOBAL
    for problem in rules.problems_at_end():
        raise LayerError(problem.line, hint=hint)
    return entries
