"""Rules for the members of a layer's tar: what container runtimes refuse, or extract differently.

The rules were measured with podman 4.3, containerd 1.6 and Docker 20.10.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from typing import NamedTuple

from dockless.tar.header import MAX_NAME
from dockless.tar.reader import GLOBAL, Member

_WHITEOUT = b".wh."
_EXTRACTED = frozenset((b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6", GLOBAL))
# Types that the runtimes refuse ("unhandled tar header type").
_TYPES = {
    b"7": "a contiguous file",
    b"A": "an access control list of Solaris",
    b"D": "a directory listing of GNU tar",
    b"E": "an extended attribute of Solaris",
    b"M": "a part of a file of a multi-volume archive of GNU tar",
    b"N": "long names in the old format of GNU tar",
    b"S": "a sparse file in the old format of GNU tar or star",
    b"V": "a volume label of GNU tar",
    b"X": "an extended header of Solaris",
}
# Layers for Windows have the files in `Files` and the registry in `Hives`; base layers also have `UtilityVM`.
_WINDOWS_DIRECTORIES = frozenset((b"Files", b"Hives", b"UtilityVM"))
_UNCLEAN = re.compile(rb"(?:\A|/)\.{0,2}(?:/|\Z)")
_MEMBER, _PARENT, _FILE, _SYMLINK = 1, 2, 4, 8
# Paths that are remembered, with their parent directories. Each takes about 100 bytes. The largest image layers have a
# million files.
_MAX_PATHS = 2_000_000
# Bytes of all targets of symlinks that are remembered, with the directories of the symlinks.
_MAX_TARGETS = 16 << 20
# Parts of paths that are looked up to follow symlinks.
_MAX_STEPS = 1_000_000
# Linux follows 40 symlinks in a path.
_MAX_SYMLINKS = 40
# Hard links whose targets are looked for in the members after them.
_MAX_LINKS = 1000


class MemberProblem(NamedTuple):
    """A problem of a member. `kind` completes "5 more ..."."""

    kind: str
    line: str


class MemberRules:
    """Checks the members of one layer, in order. `label` names the layer in the problems.

    Of layers with more than 2 million paths, the first 2 million are compared with each other.
    """

    def __init__(self, label: str, *, windows: bool = False) -> None:
        self._label = label
        self._windows = windows
        self._has_windows_directory = False
        # What is known of a path, by the hash of the path: a large layer has a million paths.
        self._paths: dict[int, int] = {}
        self._links: dict[int, str] = {}
        self._targets: dict[int, bytes] = {}
        self._targets_size = 0
        self._steps = 0

    def problems(self, member: Member) -> Iterator[MemberProblem]:
        """Yield the problems of the next member."""
        label = self._label
        name = _text(member.name)
        if member.problem:
            yield MemberProblem(f"ambiguous members of {label}", f"{label} is ambiguous: {member.problem}")
        if member.kind not in _EXTRACTED:
            what = _TYPES.get(member.kind, "not a type of POSIX")
            yield MemberProblem(
                f"members of other types in {label}",
                f"{label} contains {name!r} of the tar type {_text(member.kind)!r} ({what}), which runtimes refuse",
            )
        for each in (member.name, member.alias):
            # Of almost all names, the parts need not be known.
            parts = each.split(b"/") if b".." in each or _WHITEOUT in each else ()
            if b".." in parts:
                yield MemberProblem(
                    f"paths outside of the image in {label}",
                    f"{label} contains the path {_text(each)!r}, which is outside of the image",
                )
            if any(part.startswith(_WHITEOUT) and part[len(_WHITEOUT) :] in (b"", b".", b"..") for part in parts):
                yield MemberProblem(
                    f"whiteouts that name no file in {label}",
                    f"{label} contains the whiteout {_text(each)!r}, which names no file",
                )
        if member.kind == b"1" and b".." in member.link.split(b"/"):
            yield MemberProblem(
                f"hard links to paths outside of the image in {label}",
                f"{label} contains the hard link {name!r} to {_text(member.link)!r}, which is outside of the image",
            )
        if member.kind == b"2" and not member.link:
            yield MemberProblem(
                f"symlinks without a target in {label}", f"{label} contains the symlink {name!r} without a target"
            )
        path = _clean(member.name)
        if not path and member.kind != GLOBAL and not member.is_directory:
            yield MemberProblem(
                f"members without a path in {label}", f"{label} contains the path {name!r}, which is not a directory"
            )
        if len(path) > MAX_NAME and not self._windows and max(map(len, path.split(b"/"))) > MAX_NAME:
            yield MemberProblem(
                f"names that are too long in {label}",
                f"{label} contains the path {name!r} with a name of more than {MAX_NAME} bytes",
            )
        if self._windows and member.kind != GLOBAL and path:
            if path.split(b"/")[0] in _WINDOWS_DIRECTORIES:
                self._has_windows_directory = True
            else:
                yield MemberProblem(
                    f"paths outside of Files and Hives in {label}",
                    f"{label} of an image for Windows contains the path {name!r}, which is not in Files or Hives",
                )
        if len(self._paths) < _MAX_PATHS:
            yield from self._path_problems(member, path, name)

    def problems_at_end(self) -> Iterator[MemberProblem]:
        """Yield the problems of the layer after its last member."""
        if self._windows and not self._has_windows_directory:
            yield MemberProblem(
                f"problems of {self._label}",
                f"{self._label} of an image for Windows has neither the directory Files nor the directory Hives",
            )

    def _path_problems(self, member: Member, path: bytes, name: str) -> Iterator[MemberProblem]:
        label, paths = self._label, self._paths
        key = hash(path)
        known = paths.get(key, 0)
        if known & _MEMBER:
            # podman and Docker refuse the layer ("duplicates of file paths not supported"), also for directories and
            # for global pax headers; containerd extracts the last member.
            yield MemberProblem(
                f"paths that occur twice in {label}",
                f"{label} contains the path {_text(path) or '/'!r} twice, which runtimes refuse or read differently",
            )
        paths[key] = known | _MEMBER
        if member.kind == GLOBAL:
            return
        if key in self._links:
            # All three runtimes refuse the layer: they link when they read the link.
            yield MemberProblem(
                f"hard links before their targets in {label}",
                f"{label} contains the hard link {self._links.pop(key)!r} before its target {name!r}",
            )
        if member.kind == b"1":
            linked = hash(_clean(member.link))
            if linked == key or self._is_directory(linked):
                yield MemberProblem(
                    f"hard links to no file in {label}",
                    f"{label} contains the hard link {name!r} to {_text(member.link)!r}, which is not a file",
                )
            elif len(self._links) < _MAX_LINKS and not paths.get(linked, 0) & _MEMBER:
                self._links[linked] = name
        if member.kind == b"2":
            paths[key] |= _SYMLINK
            target = posixpath.join(posixpath.dirname(path), member.link)
            self._targets_size += len(target)
            if self._targets_size <= _MAX_TARGETS:
                self._targets[key] = target
        elif not member.is_directory:
            paths[key] |= _FILE
        # A later file replaces the directory with everything that was extracted to it.
        below = bool(known & _PARENT) and not member.is_directory
        while path and not below:
            path = path.rpartition(b"/")[0]
            key = hash(path)
            known = paths.get(key, 0)
            if known & _PARENT:
                break
            paths[key] = known | _PARENT
            # The runtimes refuse the layer: "not a directory". Below a symlink, containerd creates missing directories,
            # and podman and Docker refuse the layer, because they do not see lower layers.
            below = bool(known & _FILE)
            if known & _SYMLINK and not self._leads_to_directory(path):
                yield MemberProblem(
                    f"paths below symlinks in {label}",
                    f"{label} contains the symlink {_text(path)!r}, and paths below it, but not the directory to which "
                    f"it leads",
                )
        if below:
            yield MemberProblem(
                f"paths below files in {label}",
                f"{label} contains the path {_text(path)!r}, which is not a directory, and paths below it",
            )

    def _is_directory(self, key: int) -> bool:
        known = self._paths.get(key, 0)
        return known & (_MEMBER | _PARENT) != 0 and not known & (_FILE | _SYMLINK)

    def _leads_to_directory(self, path: bytes) -> bool:
        """Return whether the path leads to a directory of the layer; true if that is not known."""
        found = self._followed(path, 0)
        return not found or self._is_directory(hash(found))

    def _followed(self, path: bytes, links: int) -> bytes | None:
        """Return the path without symlinks, as far as they can be followed; None if that is not known."""
        found = b""
        for part in path.split(b"/"):
            self._steps += 1
            if self._steps > _MAX_STEPS:
                return None
            if part in (b"", b"."):
                continue
            found = posixpath.dirname(found) if part == b".." else found + b"/" + part if found else part
            if self._paths.get(hash(found), 0) & _SYMLINK and links < _MAX_SYMLINKS:
                target = self._targets.get(hash(found))
                followed = None if target is None else self._followed(target, links + 1)
                if followed is None:
                    return None
                found = followed
        return found


def _text(name: bytes) -> str:
    return os.fsdecode(name)[:200]


def _clean(name: bytes) -> bytes:
    """Return the path in the image, as runtimes clean it, without a slash at the beginning or end."""
    name = name[:-1] if name.endswith(b"/") else name
    if not _UNCLEAN.search(name):
        return name
    return posixpath.normpath(b"/" + name.lstrip(b"/"))[1:]
