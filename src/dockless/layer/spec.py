"""The description of a layer as plain data, which a sandboxed process receives as JSON."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

from dockless.errors import LayerError

DEFAULT_COMPRESSION = "gzip"
# The largest time of a USTAR header: eleven octal digits, the year 2242.
_MAX_MTIME = 0o77777777777
_MAX_ID = 2**32 - 2


class Listing(NamedTuple):
    """The properties of a source that is a content-addressed tree.

    Paths are relative to the source; a source that is one file or symlink has the empty path.

    files        paths of the files
    executables  those of `files` that have the executable bit
    symlinks     path -> target
    directories  paths of empty directories
    """

    files: tuple[str, ...] = ()
    executables: tuple[str, ...] = ()
    symlinks: Mapping[str, str] = {}
    directories: tuple[str, ...] = ()


class Source(NamedTuple):
    """A file or directory on disk, or a symlink to one, and its destination in the image.

    The content of a directory is placed in `destination`. The path of a file is `destination`; if `destination` ends
    with `/`, the file keeps its name and is placed in that directory. `strip_prefix` removes leading directories from
    the paths within a directory. `origin` is the name of the source in errors, such as the address of a target; if it
    is empty, `path` is used. `listing` has the names, executable bits, symlinks and empty
    directories of the source; without a listing they are read from disk, and if `path` is a symlink, its target is
    packed.
    """

    path: str
    destination: str
    strip_prefix: str = ""
    origin: str = ""
    listing: Listing | None = None

    @property
    def name(self) -> str:
        """The name of the source in errors."""
        return self.origin or self.path


class InlineFile(NamedTuple):
    """A file whose content is given: `data` is bytes, or text that is written as UTF-8.

    `mode` is a number, such as `0o644`, which is the default.
    """

    data: bytes | str
    mode: int = 0o644

    @property
    def content(self) -> bytes:
        """The content as bytes."""
        return self.data.encode() if isinstance(self.data, str) else bytes(self.data)


class LayerSpec(NamedTuple):
    """The description of a layer (image spec, layer.md). Paths in the image are absolute, or relative to `/`.

    sources            files and directories on disk, and their destinations
    ignores            patterns as in gitignore(5), relative to the root of each source
    ignore_files       names of files with such patterns, in any directory of a source
    keep_ignore_files  whether those files themselves are packed
    modes              gitignore pattern of paths in the image -> octal mode of the files that match; the longest wins
    owner              `uid:gid` of all entries from sources
    owners             gitignore pattern of paths in the image -> `uid:gid`; the longest wins
    symlinks           path -> target
    inline_files       path -> InlineFile
    directories        path -> octal mode; the only way to get an entry for a directory that every base has
    whiteouts          paths to remove from lower layers; with a trailing `/`, the content of that directory
    mtime              seconds since 1970 of every entry
    compression        `gzip`, `gzip-single`, `zstd` or `none`, with a level as in `gzip:6`
    follow_symlinks    add the target of a symlink instead of the symlink
    hardlinks          store files with the same content, mode and owner once
    """

    sources: tuple[Source, ...] = ()
    ignores: tuple[str, ...] = ()
    ignore_files: tuple[str, ...] = ()
    keep_ignore_files: bool = True
    modes: Mapping[str, str] = {}
    owner: str = "0:0"
    owners: Mapping[str, str] = {}
    symlinks: Mapping[str, str] = {}
    inline_files: Mapping[str, InlineFile] = {}
    directories: Mapping[str, str] = {}
    whiteouts: tuple[str, ...] = ()
    mtime: int = 0
    compression: str = DEFAULT_COMPRESSION
    follow_symlinks: bool = False
    hardlinks: bool = False

    @property
    def has_patterns(self) -> bool:
        """Whether the layer has patterns, or names of files that may hold patterns. pathspec evaluates patterns."""
        return bool(self.ignores or self.ignore_files or self.modes or self.owners)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for `from_json`."""
        return {
            **self._asdict(),
            "sources": [
                {**source._asdict(), "listing": source.listing and source.listing._asdict()} for source in self.sources
            ],
            "inline_files": {
                path: {"base64": binascii.b2a_base64(file.content, newline=False).decode("ascii"), "mode": file.mode}
                for path, file in self.inline_files.items()
            },
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LayerSpec:
        """Return the spec that `to_json` wrote. Raises LayerError for unknown keys."""
        unknown = sorted(set(value) - set(cls._fields))
        if unknown:
            raise LayerError(f"the layer spec has the unknown key {unknown[0]!r}")
        values = dict(value)
        values["sources"] = tuple(
            Source(**{**source, "listing": Listing(**source["listing"]) if source.get("listing") else None})
            for source in value.get("sources", ())
        )
        values["inline_files"] = {
            path: InlineFile(binascii.a2b_base64(file["base64"]), file["mode"])
            for path, file in value.get("inline_files", {}).items()
        }
        for key in ("ignores", "ignore_files", "whiteouts"):
            values[key] = tuple(value.get(key, ()))
        return cls(**values)


def check_kinds(spec: LayerSpec) -> None:
    """Raise LayerError for values of the wrong type: a string, taken as a list, would ignore every file."""
    for field in ("ignores", "ignore_files", "whiteouts"):
        value: Any = getattr(spec, field)
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise LayerError(f"`{field}` is not a list of strings", hint='write ["..."]')
    for field in ("modes", "owners", "symlinks", "directories", "inline_files"):
        kind = InlineFile if field == "inline_files" else str
        value = getattr(spec, field)
        if not isinstance(value, Mapping) or not all(isinstance(item, kind) for item in value.values()):
            raise LayerError(f"`{field}` does not map paths to {kind.__name__}", hint=_KINDS[field])
    for field in ("owner", "compression"):
        if not isinstance(getattr(spec, field), str):
            raise LayerError(f"`{field}` is {getattr(spec, field)!r:.100}, not a string", hint=_KINDS[field])
    for name in spec.ignore_files:
        check_ignore_file(name)
    for path, file in spec.inline_files.items():
        if not isinstance(file.data, (str, bytes, bytearray, memoryview)) or not isinstance(file.mode, int):
            raise LayerError(
                f"`inline_files`: {path} is neither a string nor bytes, or has no mode", hint=_KINDS["inline_files"]
            )


def check_ignore_file(name: str) -> str:
    """Return the name of an ignore file. Raises LayerError for a name that no file has."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise LayerError(
            f"`ignore_files`: {name!r} is not the name of a file",
            hint="write the name without a directory, such as .dockerignore",
        )
    return name


_KINDS = {
    "modes": 'write {"*.sh": "0755"}',
    "owners": 'write {"/app": "1000:1000"}',
    "symlinks": "write {path: target}",
    "directories": 'write {"/var/lib/app": "0700"}',
    "inline_files": 'write InlineFile(b"...", mode=0o644)',
    "owner": 'write "1000:1000"',
    "compression": 'write "gzip", or "gzip:6"',
}


def encoded(text: str) -> bytes:
    """Return the bytes that the text of a spec stands for: UTF-8, whatever the encoding of the file system is.

    Raises LayerError for text that has no encoding.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise LayerError(f"{text!r:.200} cannot be encoded", cause="it contains a surrogate") from None


def image_path(text: str, field: str) -> bytes:
    """Return a path in the image as a tar entry has it: relative, without empty components.

    Raises LayerError, which names `field`.
    """
    if not isinstance(text, str):
        raise LayerError(f"`{field}`: {text!r:.200} is not a path in the image", hint="write the path as a string")
    if "\0" in text:
        raise LayerError(f"`{field}`: the path {text!r} contains a NUL byte")
    parts = [part for part in encoded(text).split(b"/") if part not in (b"", b".")]
    if b".." in parts:
        raise LayerError(f"`{field}`: the path {text!r} contains '..'", hint="write the path without '..'")
    return b"/".join(parts)


def parse_mode(text: str, field: str) -> int:
    """Parse an octal mode such as `0755` or `1777`. Raises LayerError, which names `field`."""
    if 1 <= len(text) <= 5 and set(text) <= set("01234567") and int(text, 8) <= 0o7777:
        return int(text, 8)
    raise LayerError(f"`{field}`: {text!r} is not a mode", hint="write octal digits, such as 0755")


def parse_owner(text: str, field: str) -> tuple[int, int]:
    """Parse `uid:gid`. Raises LayerError, which names `field`."""
    uid, colon, gid = text.partition(":")
    if colon and all(part.isascii() and part.isdigit() and int(part) <= _MAX_ID for part in (uid, gid)):
        return int(uid), int(gid)
    raise LayerError(f"`{field}`: {text!r} is not an owner", hint="write uid:gid in digits, such as 1000:1000")


def check_mtime(mtime: int) -> int:
    """Return a time in seconds since 1970 that fits in a tar header. Raises LayerError."""
    if isinstance(mtime, bool) or not isinstance(mtime, int) or not 0 <= mtime <= _MAX_MTIME:
        raise LayerError(f"`mtime`: {mtime!r} is not a time", hint=f"write seconds since 1970, 0 to {_MAX_MTIME}")
    return mtime


def source_date_epoch(text: str) -> int:
    """Parse SOURCE_DATE_EPOCH, an ASCII number of seconds since 1970 (reproducible-builds.org). Raises LayerError."""
    if not (text.isascii() and text.isdigit()):
        raise LayerError(f"SOURCE_DATE_EPOCH is {text!r:.50}", hint="set it to a whole number of seconds since 1970")
    return check_mtime(int(text[:20]))
