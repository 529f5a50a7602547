"""Blobs on their way to the disk: no byte gets a final name before size and digest are right."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Callable

from dockless.content import ContentSource, write_anew
from dockless.descriptor import Descriptor
from dockless.errors import LayoutError, RegistryError

_CHUNK = 1 << 20
# Told of each piece that was written: which blob, and how many bytes.
Moved = Callable[[Descriptor, int], None]


def ignored(descriptor: Descriptor, size: int) -> None:
    """A `Moved` that tells nobody."""


def copy_blob(source: ContentSource, descriptor: Descriptor, sink: BinaryIO, moved: Moved = ignored) -> None:
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


def _copy(source: ContentSource, descriptor: Descriptor, sink: BinaryIO, moved: Moved) -> None:
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
            hint=write_anew(file),
        )
    if found.hexdigest() != descriptor.digest.hex:
        raise LayoutError(
            f"the blob {descriptor.digest} is damaged",
            cause=f"its digest is sha256:{found.hexdigest()}",
            hint=write_anew(file),
        )


def refused(error: OSError) -> str:
    """Why the file system refuses to write a path."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return "a file stands where a folder must be"
    return error.strerror or str(error)


@contextmanager
def staged_file(path: str) -> Iterator[BinaryIO]:
    """A new file that gets the name `path`, in place of what has it, when the body ends well; else nothing is left.

    Raises LayoutError for what the file system refuses.
    """
    staged = ""
    try:
        if os.path.isdir(path):
            raise LayoutError(f"cannot write {path}", cause="it is a folder", hint="choose another path")
        folder = os.path.dirname(os.path.abspath(path))
        os.makedirs(folder, exist_ok=True)
        new = os.path.join(folder, f".dockless-{os.urandom(8).hex()}")
        # Not of tempfile, whose files nobody else can read.
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        staged = new
        with os.fdopen(descriptor, "w+b") as file:
            yield file
        os.replace(staged, path)
        staged = ""
    except OSError as error:
        raise LayoutError(f"cannot write {path}", cause=refused(error)) from error
    finally:
        if staged:
            _remove(staged)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
