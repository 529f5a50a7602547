"""The file tree of a layer source, read from disk or from a listing.

A listing describes a content-addressed tree, such as a Pants digest: the names, executable bits, symlink targets and
empty directories do not depend on the file system that the tree was written to. Only the content of files is read from
disk then.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from dockless.errors import LayerError
from dockless.layer.entries import too_long
from dockless.layer.permissions import BY_EXECUTABLE_BIT, file_mode
from dockless.layer.spec import Listing, encoded
from dockless.tar.header import DIRECTORY, FILE, MAX_PATH, SYMLINK

# The limit of Linux (path_resolution(7)).
_MAX_LINKS = 40
_OTHER = b""


class Node(NamedTuple):
    """One entry of a directory. `kind` is FILE, DIRECTORY, SYMLINK, or empty for any other kind; `mode` is a file's."""

    name: bytes
    kind: bytes
    mode: int = BY_EXECUTABLE_BIT


class SourceTree(Protocol):
    """A source's file tree. Locations are paths relative to the root, with no symlink in them; the root is empty."""

    root: bytes

    def node(self, location: bytes) -> Node:
        """Return the entry at `location`. Raises OSError if there is none."""
        ...

    def children(self, location: bytes) -> list[Node]:
        """Return the entries of a directory, in any order. Raises OSError or LayerError."""
        ...

    def read_link(self, location: bytes) -> bytes:
        """Return the target of a symlink. Raises OSError."""
        ...

    def resolve(self, location: bytes) -> bytes | None:
        """Return the location that a symlink leads to, every link followed; None if that is outside of the tree.

        Raises OSError if the target does not exist.
        """
        ...


class DiskTree:
    """A directory or file on disk, as the file system shows it. A SourceTree.

    A symlink to one is followed, as by COPY in a Dockerfile; symlinks below the root are entries.
    """

    def __init__(self, path: bytes) -> None:
        self.root = path
        self._real_root = os.path.realpath(path)

    def node(self, location: bytes) -> Node:
        mode = (os.lstat(os.path.join(self.root, location)) if location else os.stat(self.root)).st_mode
        return Node(posixpath.basename(location), _kind(mode))

    def children(self, location: bytes) -> list[Node]:
        with os.scandir(os.path.join(self.root, location)) as found:
            return [
                Node(
                    entry.name,
                    SYMLINK
                    if entry.is_symlink()
                    else DIRECTORY
                    if entry.is_dir(follow_symlinks=False)
                    else FILE
                    if entry.is_file(follow_symlinks=False)
                    else _OTHER,
                )
                for entry in found
            ]

    def read_link(self, location: bytes) -> bytes:
        return os.readlink(os.path.join(self.root, location) if location else self.root)

    def resolve(self, location: bytes) -> bytes | None:
        target = os.path.realpath(os.path.join(self.root, location))
        os.stat(target)
        if target == self._real_root:
            return b""
        return target[len(self._real_root) + 1 :] if target.startswith(self._real_root + b"/") else None


class ListedTree:
    """A tree on disk whose names and properties come from a listing. A SourceTree.

    Raises LayerError for a listing that contradicts itself.
    """

    def __init__(self, path: bytes, listing: Listing, origin: str) -> None:
        self.root = path
        self._origin = origin
        self._children: dict[bytes, dict[bytes, Node]] = {}
        self._links = {encoded(link): encoded(target) for link, target in listing.symlinks.items()}
        self._root = Node(b"", DIRECTORY)
        executables = frozenset(listing.executables)
        for file in listing.files:
            self._add(encoded(file), FILE, file_mode(file in executables))
        for link in self._links:
            self._add(link, SYMLINK)
        for directory in map(encoded, listing.directories):
            if len(directory) >= MAX_PATH:
                raise too_long(origin, directory)
            self._add_directory(directory)

    def node(self, location: bytes) -> Node:
        if not location:
            return self._root
        directory, _, name = location.rpartition(b"/")
        try:
            return self._children[directory][name]
        except KeyError:
            raise FileNotFoundError(2, os.strerror(2), os.path.join(self.root, location)) from None

    def children(self, location: bytes) -> list[Node]:
        listed = self._children.get(location, {})
        files = {name for name, node in listed.items() if node.kind == FILE}
        missing = files.difference(os.listdir(os.path.join(self.root, location))) if files else ()
        if missing:
            self._refuse_one_file_for_two_names(location, missing, listed)
        return list(listed.values())

    def _refuse_one_file_for_two_names(
        self, location: bytes, missing: Iterable[bytes], listed: Iterable[bytes]
    ) -> None:
        """Raise LayerError if a missing file has the name of another one but for case or Unicode normalization.

        A file system that ignores these differences shows one file for the two names.
        """
        from unicodedata import normalize

        def folded(name: bytes) -> str:
            return normalize("NFC", name.decode("utf-8", "surrogateescape").casefold())

        for name in sorted(missing):
            other = next((other for other in listed if other != name and folded(other) == folded(name)), None)
            if other is not None:
                directory = os.fsdecode(location)
                raise LayerError(
                    f"{self._origin}: the file system of the sandbox cannot hold both {os.fsdecode(other)!r} and "
                    f"{os.fsdecode(name)!r}" + (f" in {directory}" if directory else ""),
                    cause="it ignores case or Unicode normalization",
                    hint="rename one of them, or build on another file system",
                )

    def read_link(self, location: bytes) -> bytes:
        return self._links[location]

    def resolve(self, location: bytes) -> bytes | None:
        pending = location.split(b"/")[::-1]
        resolved = b""
        links = 0
        while pending:
            part = pending.pop()
            if part in (b"", b"."):
                continue
            if part == b"..":
                if not resolved:
                    return None
                resolved = resolved.rpartition(b"/")[0]
                continue
            resolved = resolved + b"/" + part if resolved else part
            if self.node(resolved).kind != SYMLINK:
                continue
            links += 1
            if links > _MAX_LINKS:
                raise FileNotFoundError(2, os.strerror(2), os.path.join(self.root, location))
            target = self._links[resolved]
            if target.startswith(b"/"):
                return None
            pending += target.split(b"/")[::-1]
            resolved = resolved.rpartition(b"/")[0]
        return resolved

    def _add(self, path: bytes, kind: bytes, mode: int = BY_EXECUTABLE_BIT) -> None:
        if not path:
            self._root = Node(b"", kind, mode)
            return
        if len(path) >= MAX_PATH:
            raise too_long(self._origin, path)
        self._add_directory(path.rpartition(b"/")[0])
        self._add_node(path, kind, mode)

    def _add_directory(self, path: bytes) -> None:
        missing = []
        while path not in self._children:
            missing.append(path)
            if not path:
                break
            path = path.rpartition(b"/")[0]
        for directory in reversed(missing):
            self._children[directory] = {}
            if directory:
                self._add_node(directory, DIRECTORY)

    def _add_node(self, path: bytes, kind: bytes, mode: int = BY_EXECUTABLE_BIT) -> None:
        directory, _, name = path.rpartition(b"/")
        siblings = self._children[directory]
        if name in siblings or name in (b"", b".", b".."):
            raise LayerError(f"{self._origin}: the listing has the path {os.fsdecode(path)!r} twice, or it is invalid")
        siblings[name] = Node(name, kind, mode)


def _kind(mode: int) -> bytes:
    if stat.S_ISREG(mode):
        return FILE
    if stat.S_ISDIR(mode):
        return DIRECTORY
    return SYMLINK if stat.S_ISLNK(mode) else _OTHER
