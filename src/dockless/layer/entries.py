"""Tar entries in order: each path once, directories before their content."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from dockless._lines import BoundedLines
from dockless.errors import LayerError, printable
from dockless.tar.header import DIRECTORY, MAX_NAME, MAX_PATH

# Directories that every base has (Filesystem Hierarchy Standard 3.0). An entry for one would remove the sticky bit of
# /tmp or, on a merged-/usr base, replace the `bin` symlink by a directory: they are written only when declared.
BASE_DIRECTORIES = frozenset(
    b"""
    bin boot dev etc etc/opt home lib lib32 lib64 libx32 media mnt opt proc root run sbin srv sys tmp usr usr/bin
    usr/games usr/include usr/lib usr/lib32 usr/lib64 usr/libexec usr/libx32 usr/local usr/local/bin usr/local/etc
    usr/local/games usr/local/include usr/local/lib usr/local/lib64 usr/local/man usr/local/sbin usr/local/share
    usr/local/src usr/sbin usr/share usr/share/man usr/share/misc usr/src var var/backups var/cache var/lib
    var/lib/misc var/local var/lock var/log var/mail var/opt var/run var/spool var/tmp
    """.split()
)
_MERGED_INTO_USR = (b"bin/", b"sbin/", b"lib/", b"lib32/", b"lib64/", b"libx32/")


def unreadable(origin: str, path: bytes | str, cause: OSError | str) -> LayerError:
    """Return the error for a file or directory of the source `origin` that cannot be read."""
    name = os.fsdecode(path)
    why = cause if isinstance(cause, str) else cause.strerror or str(cause)
    return LayerError(
        f"cannot read {name}" if name == origin else f"{origin}: cannot read {name}",
        cause=why,
        hint="check the path" if isinstance(cause, FileNotFoundError) else "",
    )


class Entry(NamedTuple):
    """One entry of the tar archive. The content of a file is that of the file `path`, or `data` without a `path`.

    A `path` that ends with a slash is a directory in which the file has the last part of `name`: a hundred thousand
    entries share few such strings.
    """

    name: bytes
    kind: bytes
    mode: int
    origin: str
    uid: int = 0
    gid: int = 0
    path: bytes = b""
    link: bytes = b""
    data: bytes = b""
    # Declared in the spec: takes precedence over a directory of a source.
    declared: bool = False

    @property
    def file(self) -> bytes:
        """The path of the file to read; empty for none."""
        path = self.path
        return path + self.name[self.name.rfind(b"/") + 1 :] if path.endswith(b"/") else path


def check_length(path: bytes, origin: str) -> None:
    """Raise LayerError for a path in the image that no runtime can create. `origin` names the source of the path."""
    if len(path) <= MAX_NAME:
        return
    if len(path) >= MAX_PATH:
        raise too_long(origin, path)
    name = max(path.split(b"/"), key=len)
    if len(name) > MAX_NAME:
        raise LayerError(
            f"{origin}: the name {os.fsdecode(name[:100])}... has {len(name)} bytes",
            cause=f"the limit is {MAX_NAME}",
            hint="shorten the name",
        )


def too_long(origin: str, path: bytes) -> LayerError:
    """Return the error for a path that no runtime can create."""
    return LayerError(
        f"{origin}: the path /{os.fsdecode(path[:100])}... has {len(path)} bytes",
        cause=f"the limit is {MAX_PATH - 1}",
        hint="shorten the path",
    )


def shown(name: bytes) -> str:
    """Return a path in the image as errors write it."""
    return "/" + os.fsdecode(name)


class EntryTable:
    """The entries of a layer by path. Raises LayerError for entries that exclude each other."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}

    def add(self, entry: Entry) -> None:
        """Add an entry. Raises LayerError if the path is taken by another entry."""
        name = entry.name
        check_length(name, entry.origin)
        if not name:
            if entry.kind != DIRECTORY:
                raise LayerError(f"{entry.origin} would be the image's root directory", hint="use a path below /")
            if not entry.declared:
                return
        if entry.kind == DIRECTORY and not entry.declared and name in BASE_DIRECTORIES:
            return
        other = self._entries.get(name)
        if other is not None:
            if other.kind != DIRECTORY or entry.kind != DIRECTORY:
                raise LayerError(
                    f"two sources for {shown(name)}",
                    cause=f"{other.origin} and {entry.origin}",
                    hint="remove one of the two sources, or use another path for it",
                )
            if other.declared:
                return
        self._entries[name] = entry

    def add_whiteout(self, entry: Entry, hidden: bytes) -> None:
        """Add `entry`, which hides the path `hidden` of lower layers."""
        self.add(entry)
        if hidden in self._entries:
            raise LayerError(
                f"`whiteouts`: {shown(hidden)} is also in the layer, from {self._entries[hidden].origin}",
                hint="remove the whiteout: a file of the layer replaces that of a lower layer",
            )

    def sorted(self) -> list[Entry]:
        """Return all entries, with missing parents added, sorted by the bytes of their path, component by component."""
        self._add_parents()
        # NUL is in no name and sorts first: this key orders like lists of components, in a third of the time.
        return sorted(self._entries.values(), key=lambda entry: entry.name.replace(b"/", b"\0"))

    def _add_parents(self) -> None:
        entries = self._entries
        checked: set[bytes] = {b""}
        for entry in list(entries.values()):
            # The directories of a hidden path are in lower layers, with modes of their own.
            if entry.origin == WHITEOUTS:
                continue
            parent = entry.name.rpartition(b"/")[0]
            while parent not in checked:
                other = entries.get(parent)
                if other is None:
                    if parent not in BASE_DIRECTORIES:
                        entries[parent] = Entry(parent, DIRECTORY, 0o755, entry.origin)
                elif other.kind != DIRECTORY:
                    raise LayerError(
                        f"{shown(parent)} is both a file and a directory",
                        cause=f"{other.origin} provides a file or link with this path; "
                        f"{entry.origin} provides {shown(entry.name)}",
                        hint="use another path for one of them",
                    )
                checked.add(parent)
                parent = parent.rpartition(b"/")[0]


WHITEOUTS = "`whiteouts`"


def warnings_of(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return warnings about entries that are valid but may not be intended. `entries` are sorted."""
    warnings = BoundedLines()
    in_merged: dict[bytes, bytes] = {}
    # The directories above the current entry, each with its names so far: paths that differ by case are siblings.
    above: list[tuple[bytes, dict[bytes, bytes]]] = []
    for entry in entries:
        name = entry.name
        parent_directory, _, last = name.rpartition(b"/")
        while above and above[-1][0] != parent_directory and not parent_directory.startswith(above[-1][0] + b"/"):
            if not above[-1][0]:
                break
            above.pop()
        if not above or above[-1][0] != parent_directory:
            above.append((parent_directory, {}))
        key = last.lower() if last.isascii() else _casefolded(last)
        other = above[-1][1].setdefault(key, last)
        if other is not last:
            pair = f"{shown(name[: len(name) - len(last)] + other)} and {shown(name)}"
            warnings.add("pairs of paths differ only in case", f"{pair} differ only in case")
        if name.startswith(_MERGED_INTO_USR):
            in_merged.setdefault(name.partition(b"/")[0], name)
    for top, name in sorted(in_merged.items()):
        warnings.add(
            "directories are symlinks in most bases",
            f"{shown(name)} is under {shown(top)}, which is a symlink to {shown(b'usr/' + top)} in most bases: "
            f"put the file under {shown(b'usr/' + top)}",
        )
    return tuple(printable(line, None) for line in warnings.lines())


def _casefolded(name: bytes) -> bytes:
    return name.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")
