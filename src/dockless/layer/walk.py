"""From a spec to entries: walks the sources, applies ignore rules, modes and owners, adds what is declared."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from dockless.errors import LayerError
from dockless.layer.entries import (
    BY_EXECUTABLE_BIT,
    WHITEOUTS,
    Entry,
    EntryTable,
    shown,
    unreadable,
)
from dockless.layer.ignore import Ignores, Rules
from dockless.layer.spec import LayerSpec, Source, image_path, parse_mode, parse_owner
from dockless.tar.header import FILE, FOLDER, SYMLINK

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"


def collect_entries(spec: LayerSpec) -> list[Entry]:
    """All entries of the layer, in order. Reads folders and links, no file. Raises LayerError."""
    table = EntryTable()
    uid, gid = parse_owner(spec.owner, "owner")
    modes = Rules({p: parse_mode(mode, "modes") for p, mode in spec.modes.items()}, "modes")
    owners = Rules({p: parse_owner(owner, "owners") for p, owner in spec.owners.items()}, "owners")
    for source in spec.sources:
        walk = _Walk(spec, source)
        for entry in walk.entries():
            if (uid or gid) and not (entry.kind == FOLDER and entry.name == walk.base):
                # The destination itself comes from no source: it is a parent like those above it.
                entry = entry._replace(uid=uid, gid=gid)
            table.add(entry)
    for entry in _declared(spec):
        table.add(entry)
    for path in spec.whiteouts:
        _add_whiteout(table, path)
    entries = table.sorted()
    if modes or owners:
        entries = [_ruled(entry, modes, owners) for entry in entries]
        modes.check_used()
        owners.check_used()
    return entries


def _ruled(entry: Entry, modes: Rules[int], owners: Rules[tuple[int, int]]) -> Entry:
    if entry.origin == WHITEOUTS:
        return entry
    if entry.kind == FILE:
        entry = entry._replace(mode=modes.find(entry.name, entry.mode))
    uid, gid = owners.find(entry.name, (entry.uid, entry.gid))
    return entry._replace(uid=uid, gid=gid)


def _declared(spec: LayerSpec) -> Iterator[Entry]:
    for path, mode in spec.directories.items():
        yield Entry(
            image_path(path, "directories"), FOLDER, parse_mode(mode, "directories"), "`directories`", declared=True
        )
    for path, file in spec.inline_files.items():
        name = _file_path(path, "inline_files")
        if not 0 <= file.mode <= 0o7777:
            raise LayerError(f"`inline_files`: {path!r} has the mode {file.mode:o}", hint="write at most 7777")
        yield Entry(name, FILE, file.mode, "`inline_files`", data=file.content, declared=True)
    for path, target in spec.symlinks.items():
        name = _file_path(path, "symlinks")
        if not target or "\0" in target:
            raise LayerError(f"`symlinks`: {path!r} has no usable target")
        yield _symlink(name, os.fsencode(target), "`symlinks`")


def _file_path(path: str, field: str) -> bytes:
    name = image_path(path, field)
    if not name or path.endswith("/"):
        raise LayerError(f"`{field}`: {path!r} is no path of a file", hint="write a path with no trailing slash")
    _refuse_whiteout(name.rpartition(b"/")[2], f"`{field}`")
    return name


def _add_whiteout(table: EntryTable, path: str) -> None:
    hidden = image_path(path, "whiteouts")
    if not hidden:
        raise LayerError(f"`whiteouts`: {path!r} is the image's root", hint="name what is in it")
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
    return Entry(name, SYMLINK, 0o777, origin, link=target)


def _refuse_whiteout(name: bytes, origin: str) -> None:
    if name.startswith(_WHITEOUT):
        raise LayerError(
            f"{origin}: the name {os.fsdecode(name)!r} would delete what is below",
            hint="rename it, or say it in `whiteouts`",
        )


class _Walk:
    """One source."""

    def __init__(self, spec: LayerSpec, source: Source) -> None:
        self.spec = spec
        self.root = os.fsencode(source.path)
        self.origin = source.name
        self.into_folder = source.destination.endswith("/") or not image_path(source.destination, "destination")
        self.base = image_path(source.destination, f"destination of {self.origin}")
        self.strip = image_path(source.strip_prefix, f"strip_prefix of {self.origin}")
        self.real_root = os.path.realpath(self.root)

    def entries(self) -> list[Entry]:
        """What the source gives, in no order. Raises LayerError."""
        # A list, because an entry that is yielded through every folder above it costs more than to be read.
        found: list[Entry] = []
        try:
            info = os.lstat(self.root)
            if stat.S_ISDIR(info.st_mode):
                found.append(Entry(self.base, FOLDER, 0o755, self.origin))
                ignores = Ignores(self.spec.ignore_files, self.spec.ignores, self.origin)
                self._folder(found, self.root, b"", ignores, ())
            else:
                last = os.path.basename(self.root)
                name = (self.base + b"/" + last if self.base else last) if self.into_folder else self.base
                # A single file may come by a link: whoever names the link means its file.
                found.append(self._leaf(name, self.root, os.stat(self.root) if self.spec.follow_symlinks else info))
        except OSError as error:
            raise unreadable(self.origin, self.root if error.filename is None else error.filename, error) from error
        return found

    def _folder(
        self, found: list[Entry], folder: bytes, relative: bytes, ignores: Ignores, above: tuple[bytes, ...]
    ) -> None:
        follow_links = self.spec.follow_symlinks
        if ignores:
            ignores = ignores.within(folder, relative)
        with os.scandir(folder) as listed:
            items = list(listed)
        here = folder + b"/"
        for item in items:
            path = relative + b"/" + item.name if relative else item.name
            is_link = item.is_symlink()
            follow = is_link and follow_links
            if follow:
                self._check_followed(item.path, above)
            is_folder = item.is_dir(follow_symlinks=follow)
            if ignores and (
                ignores.ignored(path, is_folder)
                or (not self.spec.keep_ignore_files and not is_folder and ignores.is_ignore_file(item.name))
            ):
                continue
            name = self._name(path, is_folder)
            if is_folder:
                if name is not None:
                    _refuse_whiteout(item.name, self.origin)
                    found.append(Entry(name, FOLDER, 0o755, self.origin))
                inner = (*above, os.path.realpath(item.path)) if follow_links else above
                self._folder(found, item.path, path, ignores, inner)
                continue
            assert name is not None
            if item.is_file(follow_symlinks=follow):
                _refuse_whiteout(item.name, self.origin)
                # Files are opened without following, so that none becomes a link after it was looked at.
                place = os.path.realpath(item.path) if follow else here
                found.append(Entry(name, FILE, BY_EXECUTABLE_BIT, self.origin, path=place))
            else:
                found.append(self._leaf(name, item.path, item.stat(follow_symlinks=follow)))

    def _leaf(self, name: bytes, path: bytes, info: os.stat_result) -> Entry:
        _refuse_whiteout(name.rpartition(b"/")[2], self.origin)
        if stat.S_ISREG(info.st_mode):
            return Entry(name, FILE, BY_EXECUTABLE_BIT, self.origin, path=path)
        if stat.S_ISLNK(info.st_mode):
            return _symlink(name, os.readlink(path), self.origin)
        kinds = ((stat.S_ISFIFO, "a fifo"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))
        kind = next((said for test, said in kinds if test(info.st_mode)), "a device")
        raise LayerError(
            f"{self.origin}: {os.fsdecode(path)} is {kind}", cause="a layer holds files, folders and links"
        )

    def _name(self, relative: bytes, is_folder: bool) -> bytes | None:
        """The path in the image; None for a folder that `strip_prefix` takes away."""
        if self.strip:
            if is_folder and (self.strip + b"/").startswith(relative + b"/"):
                return None
            if not relative.startswith(self.strip + b"/"):
                raise LayerError(
                    f"{self.origin}: {os.fsdecode(relative)} is not under the `strip_prefix` {os.fsdecode(self.strip)}",
                    hint="shorten `strip_prefix` or leave the file out",
                )
            relative = relative[len(self.strip) + 1 :]
        return self.base + b"/" + relative if self.base else relative

    def _check_followed(self, path: bytes, above: tuple[bytes, ...]) -> None:
        """A link that is followed must lead to something, inside the source, and not to a folder it lies in."""
        target = os.path.realpath(path)
        if not os.path.exists(target):
            raise LayerError(
                f"{self.origin}: the symlink {os.fsdecode(path)} leads nowhere",
                hint="remove it or do not follow symlinks",
            )
        if target != self.real_root and not target.startswith(self.real_root + b"/"):
            raise LayerError(
                f"{self.origin}: the symlink {os.fsdecode(path)} leads out of the source",
                cause=f"to {os.fsdecode(target)}",
                hint="add what it leads to as a source of its own",
            )
        here = os.path.realpath(os.path.dirname(path))
        if os.path.isdir(target) and (target in above or (here + b"/").startswith(target + b"/")):
            raise LayerError(f"{self.origin}: the symlink {os.fsdecode(path)} leads to a folder that it lies in")
