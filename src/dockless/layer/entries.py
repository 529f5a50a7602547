"""Tar entries in their order: each path once, parents before what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from dockless.errors import LayerError
from dockless.tar.header import DIRECTORY

# The folders that every base has (Filesystem Hierarchy Standard 3.0). An entry for one would take /tmp its sticky bit
# or, on a merged-/usr base, turn the `bin` symlink into a folder: they are written only when declared.
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
    """A file or folder of the source `origin` cannot be read: which, why, what to do."""
    name = os.fsdecode(path)
    why = cause if isinstance(cause, str) else cause.strerror or str(cause)
    return LayerError(
        f"cannot read {name}" if name == origin else f"{origin}: cannot read {name}",
        cause=why,
        hint="check the path" if isinstance(cause, FileNotFoundError) else "",
    )


class Entry(NamedTuple):
    """One entry of the tar. `data` is what a file holds, unless there is a `path`.

    A path that ends with a slash is the folder in which the file has the last part of `name`: a hundred thousand
    entries share few folders.
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
    # Declared outright: wins over a folder that merely came along.
    declared: bool = False

    @property
    def file(self) -> bytes:
        """The file to read; empty for none."""
        path = self.path
        return path + self.name[self.name.rfind(b"/") + 1 :] if path.endswith(b"/") else path


def shown(name: bytes) -> str:
    """A path in the image, as errors write it."""
    return "/" + os.fsdecode(name)


class EntryTable:
    """The entries of a layer by path. Raises LayerError for what cannot be together in one layer."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}

    def add(self, entry: Entry) -> None:
        name = entry.name
        if not name:
            if entry.kind != DIRECTORY:
                raise LayerError(f"{entry.origin} would become the image's root", hint="give it a path in the image")
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
                    hint="take one away or move it to another directory",
                )
            if other.declared:
                return
        self._entries[name] = entry

    def add_whiteout(self, entry: Entry, hidden: bytes) -> None:
        """`entry` hides the path `hidden` of the layers below."""
        self.add(entry)
        if hidden in self._entries:
            raise LayerError(
                f"`whiteouts`: {shown(hidden)} is also in the layer, from {self._entries[hidden].origin}",
                hint="a file of the layer replaces the one below by itself",
            )

    def sorted(self) -> list[Entry]:
        """All entries, parents made up where there are none, by the bytes of their path, part by part."""
        self._add_parents()
        # NUL is in no name and below all: this key orders as the lists of parts do, in a third of the time.
        return sorted(self._entries.values(), key=lambda entry: entry.name.replace(b"/", b"\0"))

    def _add_parents(self) -> None:
        entries = self._entries
        good: set[bytes] = {b""}
        for entry in list(entries.values()):
            # Whoever hides a path means one that is below: its folders are there, with modes of their own.
            if entry.origin == WHITEOUTS:
                continue
            parent = entry.name.rpartition(b"/")[0]
            while parent not in good:
                there = entries.get(parent)
                if there is None:
                    if parent not in BASE_DIRECTORIES:
                        entries[parent] = Entry(parent, DIRECTORY, 0o755, entry.origin)
                elif there.kind != DIRECTORY:
                    raise LayerError(
                        f"{shown(parent)} is a folder and something else",
                        cause=f"a file or link of {there.origin}; {entry.origin} puts {shown(entry.name)} in it",
                    )
                good.add(parent)
                parent = parent.rpartition(b"/")[0]


WHITEOUTS = "`whiteouts`"


def warnings_of(entries: Iterable[Entry]) -> tuple[str, ...]:
    """What is allowed and yet may not be meant. `entries` are in order."""
    found = []
    in_merged: dict[bytes, bytes] = {}
    # The folders that we are in, each with its names so far: paths that differ by case do so first among siblings.
    within: list[tuple[bytes, dict[bytes, bytes]]] = []
    for entry in entries:
        name = entry.name
        folder, _, last = name.rpartition(b"/")
        while within and within[-1][0] != folder and not folder.startswith(within[-1][0] + b"/"):
            if not within[-1][0]:
                break
            within.pop()
        if not within or within[-1][0] != folder:
            within.append((folder, {}))
        key = (
            last.lower()
            if last.isascii()
            else last.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")
        )
        other = within[-1][1].setdefault(key, last)
        if other is not last:
            found.append(f"{shown(name[: len(name) - len(last)] + other)} and {shown(name)} differ by case alone")
        if name.startswith(_MERGED_INTO_USR):
            in_merged.setdefault(name.partition(b"/")[0], name)
    for top, name in sorted(in_merged.items()):
        found.append(
            f"{shown(name)} is under {shown(top)}, which is a link to {shown(b'usr/' + top)} in most bases: "
            f"put it under {shown(b'usr/' + top)}"
        )
    return tuple(found)


def _casefolded(name: bytes) -> bytes:
    return name.decode("utf-8", "surrogateescape").casefold().encode("utf-8", "surrogateescape")
