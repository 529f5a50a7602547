"""Collects the entries of a layer spec: walks the sources, applies ignore rules, modes and owners."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from dockless.errors import LayerError
from dockless.layer.entries import WHITEOUTS, Entry, EntryTable, shown, too_long, unreadable
from dockless.layer.ignore import Ignores, UnusedIgnores
from dockless.layer.permissions import DIRECTORY_MODE, SYMLINK_MODE, PermissionRules
from dockless.layer.source_tree import DiskTree, ListedTree, Node, SourceTree
from dockless.layer.spec import LayerSpec, Source, encoded, image_path, parse_mode, parse_owner
from dockless.tar.header import DIRECTORY, FILE, MAX_PATH, SYMLINK

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
# Symlinks to directories with symlinks to directories: a few dozen links can stand for billions of paths.
_MAX_BELOW_SYMLINKS = 1_000_000


def collect_entries(spec: LayerSpec, unused: UnusedIgnores | None = None) -> list[Entry]:
    """Return all entries of the layer, sorted. Reads directories and symlinks, but no file. Raises LayerError.

    What had no effect in any source stays in `unused`.
    """
    table = EntryTable()
    uid, gid = parse_owner(spec.owner, "owner")
    modes = PermissionRules({p: parse_mode(mode, "modes") for p, mode in spec.modes.items()}, "modes")
    owners = PermissionRules({p: parse_owner(owner, "owners") for p, owner in spec.owners.items()}, "owners")
    for source in spec.sources:
        walk = _Walk(spec, source)
        for entry in walk.entries():
            if (uid or gid) and not (entry.kind == DIRECTORY and entry.name == walk.base):
                # The destination is not a part of the source: it is a parent like those above it.
                entry = entry._replace(uid=uid, gid=gid)
            table.add(entry)
        if walk.ignores is not None and unused is not None:
            unused.remove_used(walk.ignores)
    for entry in _declared_entries(spec):
        table.add(entry)
    for path in spec.whiteouts:
        _add_whiteout(table, path)
    entries = table.sorted()
    if modes or owners:
        entries = [_with_rules(entry, modes, owners) for entry in entries]
        modes.check_used()
        owners.check_used()
    return entries


def _with_rules(entry: Entry, modes: PermissionRules[int], owners: PermissionRules[tuple[int, int]]) -> Entry:
    if entry.origin == WHITEOUTS:
        return entry
    if entry.kind == FILE:
        entry = entry._replace(mode=modes.find(entry.name, entry.mode))
    uid, gid = owners.find(entry.name, (entry.uid, entry.gid))
    return entry._replace(uid=uid, gid=gid)


def _declared_entries(spec: LayerSpec) -> Iterator[Entry]:
    for path, mode in spec.directories.items():
        name = image_path(path, "directories")
        refuse_whiteouts(name, "`directories`")
        yield Entry(name, DIRECTORY, parse_mode(mode, "directories"), "`directories`", declared=True)
    for path, file in spec.inline_files.items():
        name = _file_path(path, "inline_files")
        if not 0 <= file.mode <= 0o7777:
            raise LayerError(f"`inline_files`: {path!r} has the mode {file.mode:o}", hint="write at most 7777")
        yield Entry(name, FILE, file.mode, "`inline_files`", data=file.content, declared=True)
    for path, target in spec.symlinks.items():
        name = _file_path(path, "symlinks")
        if not target or "\0" in target or len(encoded(target)) >= MAX_PATH:
            raise LayerError(f"`symlinks`: {path!r} has an invalid target")
        yield _symlink(name, encoded(target), "`symlinks`")


def _file_path(path: str, field: str) -> bytes:
    name = image_path(path, field)
    if not name or path.endswith("/"):
        raise LayerError(f"`{field}`: {path!r} is not the path of a file", hint="write a path without a trailing slash")
    refuse_whiteouts(name, f"`{field}`")
    return name


def _add_whiteout(table: EntryTable, path: str) -> None:
    hidden = image_path(path, "whiteouts")
    if not hidden:
        raise LayerError(f"`whiteouts`: {path!r} is the root directory of the image", hint="use paths below /")
    parent, slash, last = hidden.rpartition(b"/")
    if path.endswith("/"):
        table.add(Entry(hidden + b"/" + _OPAQUE, FILE, 0o644, WHITEOUTS))
    else:
        table.add_whiteout(Entry(parent + slash + _WHITEOUT + last, FILE, 0o644, WHITEOUTS), hidden)


def _symlink(name: bytes, target: bytes, origin: str) -> Entry:
    depth = name.count(b"/")
    if not target.startswith(b"/"):
        for part in target.split(b"/"):
            depth += -1 if part == b".." else 0 if part in (b"", b".") else 1
            if depth < 0:
                raise LayerError(
                    f"{origin}: the symlink {shown(name)} leaves the image",
                    cause=f"it points to {os.fsdecode(target)}",
                    hint="point it to a path inside the image",
                )
    return Entry(name, SYMLINK, SYMLINK_MODE, origin, link=target)


def refuse_whiteouts(path: bytes, origin: str) -> None:
    """Raise LayerError for a path in the image with the name of a whiteout. `origin` names the source of the path."""
    for name in path.split(b"/"):
        _refuse_whiteout(name, origin)


def _refuse_whiteout(name: bytes, origin: str) -> None:
    if name.startswith(_WHITEOUT):
        raise LayerError(
            f"{origin}: the name {os.fsdecode(name)!r} starts with `.wh.` and would delete files of lower layers",
            hint="rename the file, or use `whiteouts`",
        )


class _Directory(NamedTuple):
    """A directory that is to be read: its location in the tree, and its path in the source.

    The two differ below a symlink that is followed. `ignores` are the rules of the directories above, and `above` their
    locations if symlinks are followed.
    """

    location: bytes
    relative: bytes
    ignores: Ignores
    above: tuple[bytes, ...]


class _Walk:
    """One source."""

    def __init__(self, spec: LayerSpec, source: Source) -> None:
        self.spec = spec
        self.root = os.fsencode(source.path)
        self.origin = source.name
        self.tree: SourceTree = (
            DiskTree(self.root) if source.listing is None else ListedTree(self.root, source.listing, self.origin)
        )
        self.into_directory = source.destination.endswith("/") or not image_path(source.destination, "destination")
        self.base = image_path(source.destination, f"destination of {self.origin}")
        refuse_whiteouts(self.base, self.origin)
        # Of a source that is a directory.
        self.ignores: Ignores | None = None
        self.below_symlinks = 0
        self.strip = image_path(source.strip_prefix, f"strip_prefix of {self.origin}")

    def entries(self) -> list[Entry]:
        """Return the entries of the source, in no order. Raises LayerError."""
        # A list, because an entry that is yielded through every directory above it costs more than to be read.
        found: list[Entry] = []
        try:
            root = self.tree.node(b"")
            if root.kind == DIRECTORY:
                found.append(Entry(self.base, DIRECTORY, DIRECTORY_MODE, self.origin))
                self.ignores = Ignores(self.spec.ignore_files, self.spec.ignores, self.origin)
                pending = [_Directory(b"", b"", self.ignores, ())]
                while pending:
                    # A stack, not recursion: a tree may be deeper than Python's stack.
                    self._directory(found, pending, pending.pop())
            else:
                last = os.path.basename(self.root)
                name = (self.base + b"/" + last if self.base else last) if self.into_directory else self.base
                found.append(self._single(name, root))
        except OSError as error:
            path = self.root if error.filename is None else os.fsencode(error.filename)
            if path == self.root and isinstance(error, FileNotFoundError) and os.path.islink(path):
                target = os.fsdecode(os.readlink(path))
                raise unreadable(self.origin, path, f"it is a symlink to {target}, which does not exist") from error
            raise unreadable(self.origin, path, error) from error
        return found

    def _single(self, name: bytes, root: Node) -> Entry:
        _refuse_whiteout(name.rpartition(b"/")[2], self.origin)
        if root.kind == SYMLINK and self.spec.follow_symlinks:
            # The symlink of a source that is a single file may have any target.
            mode = os.stat(self.root).st_mode
            if not stat.S_ISREG(mode):
                raise self._special(self.root, mode)
            # Files are opened without following symlinks.
            return Entry(name, FILE, root.mode, self.origin, path=os.path.realpath(self.root))
        path = self.root
        if isinstance(self.tree, DiskTree) and os.path.islink(path):
            # Files are opened without following symlinks.
            path = os.path.realpath(path)
        return self._leaf(name, root, b"", path)

    def _directory(self, found: list[Entry], pending: list[_Directory], directory: _Directory) -> None:
        """Add the entries of a directory to `found`, and the directories among them to `pending`."""
        location, relative, ignores, above = directory
        nodes = self.tree.children(location)
        if len(relative) >= MAX_PATH:
            raise too_long(self.origin, relative)
        on_disk = os.path.join(self.root, location)
        here = on_disk if on_disk.endswith(b"/") else on_disk + b"/"
        if ignores:
            ignores = ignores.within(here, relative, {node.name for node in nodes if node.kind == FILE})
        if self.spec.follow_symlinks:
            above = (*above, location)
        if location != relative:
            self.below_symlinks += len(nodes)
            if self.below_symlinks > _MAX_BELOW_SYMLINKS:
                raise LayerError(
                    f"{self.origin}: more than {_MAX_BELOW_SYMLINKS} entries are below symlinks that are followed",
                    cause=f"one of the symlinks is above {os.fsdecode(relative)}",
                    hint="do not follow symlinks",
                )
        for node in nodes:
            path = relative + b"/" + node.name if relative else node.name
            place = location + b"/" + node.name if location else node.name
            followed = node.kind == SYMLINK and self.spec.follow_symlinks
            if followed:
                place, node = self._followed(place, node, above)
            is_directory = node.kind == DIRECTORY
            if ignores and (
                ignores.ignored(path, is_directory)
                or (not self.spec.keep_ignore_files and not is_directory and ignores.is_ignore_file(node.name))
            ):
                continue
            name = self._name(path, is_directory)
            if is_directory:
                if name is not None:
                    _refuse_whiteout(node.name, self.origin)
                    found.append(Entry(name, DIRECTORY, DIRECTORY_MODE, self.origin))
                pending.append(_Directory(place, path, ignores, above))
                continue
            assert name is not None
            if node.kind == FILE:
                _refuse_whiteout(node.name, self.origin)
                # Files are opened without following symlinks, so that a file cannot be replaced by one meanwhile.
                file = os.path.join(self.root, place) if followed else here
                found.append(Entry(name, FILE, node.mode, self.origin, path=file))
            else:
                _refuse_whiteout(node.name, self.origin)
                found.append(self._leaf(name, node, place, here + node.name))

    def _leaf(self, name: bytes, node: Node, location: bytes, on_disk: bytes) -> Entry:
        if node.kind == FILE:
            return Entry(name, FILE, node.mode, self.origin, path=on_disk)
        if node.kind == SYMLINK:
            return _symlink(name, self.tree.read_link(location), self.origin)
        raise self._special(on_disk, os.lstat(on_disk).st_mode)

    def _special(self, path: bytes, mode: int) -> LayerError:
        kinds = ((stat.S_ISFIFO, "a fifo"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a directory"))
        kind = next((label for test, label in kinds if test(mode)), "a device")
        return LayerError(
            f"{self.origin}: {os.fsdecode(path)} is {kind}", cause="a layer has files, directories and links"
        )

    def _name(self, relative: bytes, is_directory: bool) -> bytes | None:
        """Return the path in the image; None for a directory that `strip_prefix` removes."""
        if self.strip:
            if is_directory and (self.strip + b"/").startswith(relative + b"/"):
                return None
            if not relative.startswith(self.strip + b"/"):
                raise LayerError(
                    f"{self.origin}: {os.fsdecode(relative)} is not under the `strip_prefix` {os.fsdecode(self.strip)}",
                    hint="shorten `strip_prefix` or leave the file out",
                )
            relative = relative[len(self.strip) + 1 :]
        return self.base + b"/" + relative if self.base else relative

    def _followed(self, location: bytes, link: Node, above: tuple[bytes, ...]) -> tuple[bytes, Node]:
        """Return the target of a symlink and its node.

        Raises LayerError for a target outside of the source or above.
        """
        path = os.fsdecode(os.path.join(self.root, location))
        try:
            target = self.tree.resolve(location)
        except OSError:
            raise LayerError(
                f"{self.origin}: the symlink {path} has no target", hint="remove the symlink or do not follow symlinks"
            ) from None
        if target is None:
            raise LayerError(
                f"{self.origin}: the symlink {path} leads out of the source",
                cause=f"its target is {os.fsdecode(self.tree.read_link(location))}",
                hint="add the target as a source of its own",
            )
        node = self.tree.node(target)
        if node.kind == DIRECTORY and (target in above or not target):
            raise LayerError(f"{self.origin}: the symlink {path} leads to a directory that contains it")
        return target, Node(link.name, node.kind, node.mode)
