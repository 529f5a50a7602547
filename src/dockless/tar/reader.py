"""A reader of tar headers, member by member, with a bound on every value of a header.

POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar's long names and base-256 numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from dockless.errors import LayoutError
from dockless.tar.header import MAX_PATH

FILE_KINDS = frozenset((b"0", b"\0", b"7"))
# Bytes of an extended header, which may hold extended attributes of 64 KiB each.
_MAX_EXTENDED = 1 << 20
# Headers, records of pax headers and blocks of sparse maps of one archive. Each takes some microseconds, and a
# compressed archive may have billions. The largest image layers have a million files.
_MAX_RECORDS = 10_000_000
# Blocks of 21 extents each of one sparse file.
_MAX_SPARSE_BLOCKS = 10_000
_ZERO = b"\0" * 512
_OCTAL = re.compile(rb"[0-7]*\Z")
_RECORD = re.compile(rb"([0-9]{1,7}) ([^=\n]+)=")
# Types of GNU tar's long names and links.
_GNU_LONG = {b"L": "name", b"K": "link"}
_EXTENDED = frozenset((b"x", b"g", *_GNU_LONG))
_BARE = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))


class Member(NamedTuple):
    """One member: its content has `size` bytes and begins at `offset` in the archive. Names are not normalized.

    `alias` is the name that some readers give to a sparse file; mostly empty.
    """

    name: bytes
    kind: bytes
    link: bytes
    offset: int
    size: int
    alias: bytes = b""

    @property
    def is_file(self) -> bool:
        """Whether the member is a regular file."""
        return self.kind in FILE_KINDS and not self.name.endswith(b"/")


class Stream(Protocol):
    """A stream that is read once, forwards."""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        ...

    def skip(self, size: int) -> None:
        """Skip `size` bytes. Raises LayoutError if there are fewer."""
        ...


def read_members(stream: Stream, label: str) -> Iterator[Member]:
    """Yield the members of an archive, in order; their content is skipped.

    Raises LayoutError, which names the archive `label`, for a damaged header, an archive that ends too early, a number,
    name or count beyond its bound, and extended headers from which readers take different names.
    """
    at = records = 0
    extended: dict[str, bytes] = {}
    # The types of the extended headers that precede the next member.
    kinds: set[bytes] = set()
    while True:
        block = _take(stream, 512)
        # Some writers, such as umoci 0.4, omit the zero blocks at the end.
        if block == _ZERO or (not block and at and not extended):
            return
        if len(block) < 512:
            raise LayoutError(
                f"{label} is truncated" if at else f"{label} is not a tar archive, or is truncated",
                cause=f"the tar header at byte {at} is incomplete",
            )
        begin, at, records = at, at + 512, records + 1
        if records > _MAX_RECORDS:
            raise LayoutError(f"{label} has more than {_MAX_RECORDS} tar headers and pax records")
        if _checksum(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * 32:
            raise LayoutError(
                f"{label} is damaged" if begin else f"{label} is not a tar archive, or is damaged",
                cause=f"the tar header at byte {begin} has a wrong checksum",
            )
        kind = block[156:157]
        size = _number(block[124:136], label, begin)
        padded = size + -size % 512
        if kind in _EXTENDED:
            if size > _MAX_EXTENDED:
                raise LayoutError(
                    f"{label} has a tar header of {size} bytes",
                    cause=f"at byte {begin}; the limit is {_MAX_EXTENDED}",
                )
            data = _take(stream, padded)
            if len(data) < padded:
                raise LayoutError(f"{label} is truncated", cause=f"the tar header at byte {begin} is incomplete")
            at += padded
            if kind in _GNU_LONG:
                # Other readers end a name at its first NUL too.
                values = {_GNU_LONG[kind]: data[:size].partition(b"\0")[0]}
            else:
                count, values = _pax(data[:size], label, begin)
                records += count
            # Go uses the last of two pax headers and prefers GNU's names, Python merges them, and only some readers
            # obey global headers.
            is_ambiguous = bool(values) if kind == b"g" else kind in kinds or not extended.keys().isdisjoint(values)
            if is_ambiguous:
                raise LayoutError(
                    f"{label} is ambiguous", cause=f"readers differ about the extended tar header at byte {begin}"
                )
            kinds.add(kind)
            extended.update(values)
            for key, value in extended.items():
                if len(value) > MAX_PATH:
                    raise LayoutError(
                        f"{label} has a {key} of {len(value)} bytes", cause=f"at byte {begin}; the limit is {MAX_PATH}"
                    )
            continue
        name = extended.get("name") or _name(block)
        link = extended.get("link") or block[157:257].split(b"\0")[0]
        if "size" in extended:
            size = _decimal(extended["size"], label, begin)
        # Links, devices and directories have no content, whatever their size field says.
        size = 0 if kind in _BARE else size
        alias = extended.get("sparse name", b"")
        extended = {}
        kinds.clear()
        # GNU tar's sparse files: more blocks of the map follow the header, and `size` does not count these blocks.
        has_more = kind == b"S" and block[482:483] != b"\0"
        sparse_blocks = 0
        while has_more:
            sparse_blocks += 1
            if sparse_blocks > _MAX_SPARSE_BLOCKS:
                raise LayoutError(
                    f"{label} has a sparse map of more than {_MAX_SPARSE_BLOCKS} blocks", cause=f"at byte {begin}"
                )
            sparse_map = _take(stream, 512)
            if len(sparse_map) < 512:
                raise LayoutError(f"{label} is truncated", cause=f"the tar header at byte {begin} is incomplete")
            at += 512
            has_more = sparse_map[504:505] != b"\0"
        yield Member(name, kind, link, at, size, alias)
        stream.skip(size)
        # umoci 0.4 ends an archive after the last byte of the last file, without padding.
        at += size + len(_take(stream, -size % 512))


def _take(stream: Stream, size: int) -> bytes:
    """Return `size` bytes, fewer only at the end.

    A stream may deliver byte by byte: a compressed archive may have a member or frame for each byte.
    """
    data = stream.read(size)
    if not data or len(data) == size:
        return data
    parts = bytearray(data)
    while len(parts) < size and (more := stream.read(size - len(parts))):
        parts += more
    return bytes(parts)


def _name(block: bytes) -> bytes:
    name = block[:100].split(b"\0")[0]
    # GNU's format has other fields where USTAR has the prefix.
    prefix = block[345:500].split(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _pax(data: bytes, label: str, at: int) -> tuple[int, dict[str, bytes]]:
    """Return the number of records, and the values of those that are used."""
    # In the pax format, GNU tar gives a made-up path to a sparse file; its name is in another record.
    names = {b"path": "name", b"linkpath": "link", b"size": "size", b"GNU.sparse.name": "sparse name"}
    found: dict[str, bytes] = {}
    count = position = 0
    while position < len(data):
        count += 1
        record = _RECORD.match(data, position)
        end = position + int(record[1]) if record else 0
        if not record or end > len(data) or end <= record.end() or data[end - 1 : end] != b"\n":
            raise LayoutError(f"{label} is damaged", cause=f"the pax header at byte {at} has a broken record")
        if record[2] in names:
            value = data[record.end() : end - 1]
            if b"\0" in value:
                raise LayoutError(f"{label} is damaged", cause=f"the pax header at byte {at} has a value with a NUL")
            found[names[record[2]]] = value
        position = end
    return count, found


def _number(field: bytes, label: str, at: int) -> int:
    if field[0] & 0x80:
        found = int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    else:
        text = field.strip(b" \0")
        # `int` accepts a sign: a negative size would move the reader back, without an end.
        if not _OCTAL.match(text):
            raise LayoutError(f"{label} is damaged", cause=f"the tar header at byte {at} has no size")
        found = int(text or b"0", 8)
    return _bounded(found, label, at)


def _decimal(text: bytes, label: str, at: int) -> int:
    if not (text.isdigit() and len(text) < 20):
        raise LayoutError(f"{label} is damaged", cause=f"the pax header before byte {at} has no size")
    return _bounded(int(text), label, at)


def _bounded(size: int, label: str, at: int) -> int:
    if size >= 1 << 62:
        raise LayoutError(f"{label} is damaged", cause=f"the tar header at byte {at} says {size} bytes")
    return size


def _checksum(field: bytes) -> int:
    try:
        return int(field.strip(b" \0") or b"0", 8)
    except ValueError:
        return -1
