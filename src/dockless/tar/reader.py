"""A reader of tar headers, member by member, with a bound on every value of a header.

POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar's long names and base-256 numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from dockless.errors import LayoutError
from dockless.tar.header import MAX_PATH
from dockless.tar.sparse import SparseMap, checked_map, is_sparse, read_map

FILE_KINDS = frozenset((b"0", b"\0", b"7"))
GLOBAL = b"g"
# Bytes of an extended header, which may hold extended attributes of 64 KiB each.
_MAX_EXTENDED = 1 << 20
# Headers, records of pax headers and blocks of sparse maps of one archive. Each takes some microseconds, and a
# compressed archive may have billions. The largest image layers have a million files.
_MAX_RECORDS = 10_000_000
# Blocks of 21 extents each of one sparse file.
_MAX_SPARSE_BLOCKS = 10_000
_ZERO = b"\0" * 512
_OCTAL = re.compile(rb"[0-7]*\Z")
# Mode, UID, GID, size and time as most writers write them.
_USUAL_NUMBERS = re.compile(rb"(?:[0-7]{6}[0-7 ][ \0]){3}(?:[0-7]{11}[ \0]){2}")
_NUMBERS = {"mode": (100, 108), "UID": (108, 116), "GID": (116, 124), "time": (136, 148)}
_DEVICE_NUMBERS = {"device number": (329, 337), "minor device number": (337, 345)}
_STAR_NUMBERS = {"access time": (476, 488), "change time": (488, 500)}
_USUAL_DEVICE_NUMBERS = (b"\0" * 16, b"0000000\0" * 2)
_RECORD = re.compile(rb"([0-9]{1,7}) ([^=\n]+)=")
_NAMES = {b"path": "name", b"GNU.sparse.name": "name", b"linkpath": "link", b"size": "size"}
# Records that are no danger if readers differ about them. Only `Member.owner` reads their values.
_OWNER = (b"uid", b"gid")
_EXTENT = b"GNU.sparse.offset", b"GNU.sparse.numbytes"
# Types of GNU tar's long names and links.
_GNU_LONG = {b"L": b"path", b"K": b"linkpath"}
_EXTENDED = frozenset((b"x", GLOBAL, *_GNU_LONG))
_BARE = frozenset((b"1", b"2", b"3", b"4", b"5", b"6"))
_USTAR_MAGIC, _GNU_MAGIC, _STAR_TRAILER = b"ustar\0", b"ustar  \0", b"tar\0"


class Member(NamedTuple):
    """One member: its content has `size` bytes and begins at `offset` in the archive. Names are not normalized.

    `name` is the name that podman, containerd and Docker give to the member, `alias` the name that some readers give
    to it; mostly empty. `problem` says why readers differ about the member; mostly empty. `is_sparse` is true if the
    content is that of a sparse file; `sparse_map` is None if its map is not valid, or not that of GNU tar. A global pax
    header is a member of the type `g` without content. `fields` are the bytes of the header with the mode and the
    numeric owner, and `pax_owner` the owner in a pax header.
    """

    name: bytes
    kind: bytes
    link: bytes
    offset: int
    size: int
    alias: bytes = b""
    problem: str = ""
    is_sparse: bool = False
    fields: bytes = b""
    pax_owner: tuple[bytes, bytes] = (b"", b"")
    sparse_map: SparseMap | None = None

    @property
    def is_file(self) -> bool:
        """Whether the member is a regular file."""
        return self.kind in FILE_KINDS and not self.name.endswith(b"/")

    @property
    def is_directory(self) -> bool:
        """Whether the member is a directory. Archives of 1979 mark a directory by the slash of its name."""
        return self.kind == b"5" or (self.kind == b"\0" and self.name.endswith(b"/"))

    def mode(self, label: str) -> int:
        """Return the permissions, with the bits for setuid, setgid and sticky. Raises LayoutError."""
        return _number(self.fields[:8], label, self.offset) & 0o7777

    def owner(self, label: str) -> tuple[int, int]:
        """Return the user ID and the group ID. Raises LayoutError."""
        uid, gid = self.pax_owner
        return (
            _decimal(uid, label, self.offset) if uid else _number(self.fields[8:16], label, self.offset),
            _decimal(gid, label, self.offset) if gid else _number(self.fields[16:24], label, self.offset),
        )


class Stream(Protocol):
    """A stream that is read once, forwards."""

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        ...

    def skip(self, size: int) -> None:
        """Skip `size` bytes. Raises LayoutError if there are fewer."""
        ...


def read_members(stream: Stream, label: str, *, old_maps: bool = False) -> Iterator[Member]:
    """Yield the members of an archive, in order; their content is skipped.

    With `old_maps`, also the maps of sparse files of the type `S` are read, which container runtimes do not extract.

    Names and sizes are those of Go's archive/tar, with which podman, containerd and Docker read layers. Raises
    LayoutError, which names the archive `label`, for a damaged header, an archive that ends too early, content after
    a single zero block, and a number, name or count beyond its bound.
    """
    at = records = 0
    # The extended headers that precede the next member: the records of the last pax header, GNU's long names, the types
    # of all headers, and why readers differ about them.
    pax_records: dict[bytes, bytes] = {}
    long_names: dict[bytes, bytes] = {}
    kinds: set[bytes] = set()
    problem = ""
    pax_owner = (b"", b"")
    while True:
        block = _take(stream, 512)
        # Some writers, such as umoci 0.4, omit the zero blocks at the end.
        if block == _ZERO or (not block and at and not (pax_records or long_names)):
            if _take(stream, 512).strip(b"\0"):
                # Go's archive/tar refuses the archive, and GNU tar reads on.
                raise LayoutError(f"{label} is damaged", cause=f"other content follows the zero block at byte {at}")
            return
        if len(block) < 512:
            raise LayoutError(
                f"{label} is truncated" if at else f"{label} is not a tar archive, or is truncated",
                cause=f"the tar header at byte {at} is incomplete",
            )
        begin, at, records = at, at + 512, records + 1
        if records > _MAX_RECORDS:
            raise LayoutError(f"{label} has more than {_MAX_RECORDS} tar headers and pax records")
        if not _has_its_checksum(block):
            raise LayoutError(
                f"{label} is damaged" if begin else f"{label} is not a tar archive, or is damaged",
                cause=f"the tar header at byte {begin} has a wrong checksum",
            )
        _check_numbers(block, label, begin)
        kind = block[156:157]
        size = _number(block[124:136], label, begin)
        if kind in _EXTENDED:
            if size > _MAX_EXTENDED:
                raise LayoutError(
                    f"{label} has a tar header of {size} bytes",
                    cause=f"at byte {begin}; the limit is {_MAX_EXTENDED}",
                )
            padded = size + -size % 512
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
            owner = (values.pop(b"uid", b""), values.pop(b"gid", b""))
            if kind == b"x":
                pax_owner = owner
            for key, what in _NAMES.items():
                if len(values.get(key, b"")) > MAX_PATH:
                    raise LayoutError(
                        f"{label} has a {what} of {len(values[key])} bytes",
                        cause=f"at byte {begin}; the limit is {MAX_PATH}",
                    )
            # Go uses the last of two pax headers, prefers GNU's names, and forgets extended headers before a global
            # one; Python merges pax headers, and only some readers obey global headers.
            known = {*pax_records, *long_names}
            if (kinds or values) if kind == GLOBAL else kind in kinds or not known.isdisjoint(values):
                problem = f"readers differ about the extended tar header at byte {begin}"
            if kind == GLOBAL:
                yield Member(_names(block)[0], kind, b"", at, 0, problem=problem)
                pax_records, long_names, kinds = {}, {}, set()
                continue
            kinds.add(kind)
            if kind in _GNU_LONG:
                long_names.update(values)
            else:
                pax_records = values
            continue
        extended = {**pax_records, **{key: value for key, value in long_names.items() if value}}
        name, alias = _names(block)
        if extended.get(b"path"):
            name, alias = extended[b"path"], b""
        link = extended.get(b"linkpath") or block[157:257].partition(b"\0")[0]
        if extended.get(b"size"):
            size = _decimal(extended[b"size"], label, begin)
        # Links, devices and directories have no content, whatever their size field says.
        if kind in _BARE or (kind == b"\0" and name.endswith(b"/")):
            size = 0
        taken = 0
        sparse_map = None
        sparse = kind == b"S" or is_sparse(extended)
        if sparse and kind != b"S":
            taken, extents, sparse_map = read_map(extended, stream, size)
            records += extents
            if sparse_map is None:
                problem = problem or f"the map of the sparse file at byte {begin} is not valid"
        sparse_name = extended.get(b"GNU.sparse.name", b"")
        if sparse_name and sparse_name != name:
            if not sparse or b"L" in kinds:
                problem = problem or f"readers differ about the name of the sparse file at byte {begin}"
            name, alias = (sparse_name, name) if sparse else (name, sparse_name)
        if kind == b"S":
            blocks, fields = _read_old_map(block, stream, label, begin, keep=old_maps)
            at, records = at + 512 * blocks, records + blocks
            if fields:
                sparse_map = _parse_old_map(fields, block[483:495], size, label, begin)
                if sparse_map is None:
                    problem = problem or f"the map of the sparse file at byte {begin} is not valid"
        yield Member(name, kind, link, at, size, alias, problem, sparse, block[100:124], pax_owner, sparse_map)
        pax_records, long_names, kinds, problem, pax_owner = {}, {}, set(), "", (b"", b"")
        stream.skip(size - taken)
        # umoci 0.4 ends an archive after the last byte of the last file, without padding.
        at += size + len(_take(stream, -size % 512))


def _read_old_map(block: bytes, stream: Stream, label: str, begin: int, *, keep: bool) -> tuple[int, bytes]:
    """Read the blocks of a sparse map that follow a header of the type `S`. Return their number, and GNU tar's extents.

    The size of the member does not count these blocks. Without `keep`, no extents are returned.
    """
    is_gnu = block[257:265] == _GNU_MAGIC
    # In star's header, the byte that says whether blocks follow is at another place.
    has_more = block[482] if is_gnu else block[355]
    fields = [block[386:482]] if is_gnu and keep else []
    blocks = 0
    while has_more:
        blocks += 1
        if blocks > _MAX_SPARSE_BLOCKS:
            raise LayoutError(
                f"{label} has a sparse map of more than {_MAX_SPARSE_BLOCKS} blocks", cause=f"at byte {begin}"
            )
        sparse_map = _take(stream, 512)
        if len(sparse_map) < 512:
            raise LayoutError(f"{label} is truncated", cause=f"the tar header at byte {begin} is incomplete")
        if fields:
            fields.append(sparse_map[:504])
        has_more = sparse_map[504]
    return blocks, b"".join(fields)


def _parse_old_map(fields: bytes, real_size: bytes, size: int, label: str, begin: int) -> SparseMap | None:
    """Return the map of the extents in `fields`, each with an offset and a length of 12 bytes; None if invalid."""
    # An extent that begins with NUL ends the map.
    used = next((at for at in range(0, len(fields), 24) if not fields[at]), len(fields))
    try:
        numbers = [_number(fields[at : at + 12], label, begin) for at in range(0, used, 12)]
        return checked_map(numbers, _number(real_size, label, begin), 0, size)
    except LayoutError:
        return None


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


def _names(block: bytes) -> tuple[bytes, bytes]:
    """Return the name in a header, and the name that some readers give to it; mostly empty."""
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == _USTAR_MAGIC:
        # star has times after a shorter prefix.
        prefix = block[345 : 476 if block[508:] == _STAR_TRAILER else 500].partition(b"\0")[0]
        return (prefix + b"/" + name if prefix else name), b""
    if block[257:265] == _GNU_MAGIC and not all(_is_number(block[at : at + 12]) for at in (345, 357) if block[at]):
        # GNU's format has times where USTAR has the prefix. Go before 1.8, and therefore Docker before 1.13, wrote a
        # prefix there, which Go still reads.
        prefix = block[345:500].partition(b"\0")[0]
        if prefix and prefix.isascii():
            return prefix + b"/" + name, name
    return name, b""


def _has_its_checksum(block: bytes) -> bool:
    """Return whether the checksum is right. Old writers add bytes with a sign."""
    field = block[148:156]
    if not _is_octal(field):
        return False
    difference = sum(block) - sum(field) + 8 * 32 - _octal(field)
    return difference == 0 or difference == 256 * sum(byte > 127 for byte in block[:148] + block[156:])


def _check_numbers(block: bytes, label: str, at: int) -> None:
    """Raise LayoutError for a number that is not valid: Go's archive/tar refuses the archive."""
    fields: dict[str, tuple[int, int]] = {}
    if not _USUAL_NUMBERS.match(block, 100):
        fields.update(_NUMBERS)
    if block[329:345] not in _USUAL_DEVICE_NUMBERS and (block[257:263] == _USTAR_MAGIC or block[257:265] == _GNU_MAGIC):
        fields.update(_DEVICE_NUMBERS)
    if block[508:] == _STAR_TRAILER and block[257:263] == _USTAR_MAGIC:
        fields.update(_STAR_NUMBERS)
    for name, (begin, end) in fields.items():
        if not _is_number(block[begin:end]):
            raise LayoutError(f"{label} is damaged", cause=f"the tar header at byte {at} has an invalid {name}")


def _pax(data: bytes, label: str, at: int) -> tuple[int, dict[bytes, bytes]]:
    """Return the number of records, and the records that are used."""
    found: dict[bytes, bytes] = {}
    # The format 0.0 of sparse files has two records for each extent. Go joins them to the record of the format 0.1.
    extents: list[bytes] = []
    count = position = 0
    while position < len(data):
        count += 1
        record = _RECORD.match(data, position)
        end = position + int(record[1]) if record else 0
        if not record or end > len(data) or end <= record.end() or data[end - 1 : end] != b"\n":
            raise LayoutError(f"{label} is damaged", cause=f"the pax header at byte {at} has a broken record")
        key = record[2]
        if key in _OWNER:
            found[key] = data[record.end() : end - 1]
        elif key in _NAMES or key.startswith(b"GNU.sparse."):
            value = data[record.end() : end - 1]
            if b"\0" in value:
                raise LayoutError(f"{label} is damaged", cause=f"the pax header at byte {at} has a value with a NUL")
            if key in _EXTENT:
                if key != _EXTENT[len(extents) % 2] or b"," in value:
                    raise LayoutError(
                        f"{label} is damaged", cause=f"the pax header at byte {at} has a broken sparse map"
                    )
                extents.append(value)
            else:
                found[key] = value
        position = end
    if extents:
        found[b"GNU.sparse.map"] = b",".join(extents)
    return count, found


def _is_octal(field: bytes) -> bool:
    return bool(_OCTAL.match(field.strip(b" \0").partition(b"\0")[0]))


def _octal(field: bytes) -> int:
    return int(field.strip(b" \0").partition(b"\0")[0] or b"0", 8)


def _is_number(field: bytes) -> bool:
    if not field[0] & 0x80:
        return _is_octal(field)
    # Base 256, whose second bit is the sign. Numbers have at most 64 bits.
    return -(1 << 63) <= int.from_bytes(field, "big") - (0x80 << 8 * (len(field) - 1)) < 1 << 63 or (
        bool(field[0] & 0x40) and int.from_bytes(field, "big", signed=True) >= -(1 << 63)
    )


def _number(field: bytes, label: str, at: int) -> int:
    if field[0] & 0x80:
        found = int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    elif _is_octal(field):
        # `int` accepts a sign: a negative size would move the reader back, without an end.
        found = _octal(field)
    else:
        raise LayoutError(f"{label} is damaged", cause=f"the tar header at byte {at} has no size")
    return _bounded(found, label, at)


def _decimal(text: bytes, label: str, at: int) -> int:
    if not (text.isdigit() and len(text) < 20):
        raise LayoutError(f"{label} is damaged", cause=f"the pax header before byte {at} has no size")
    return _bounded(int(text), label, at)


def _bounded(size: int, label: str, at: int) -> int:
    if size >= 1 << 62:
        raise LayoutError(f"{label} is damaged", cause=f"the tar header at byte {at} says {size} bytes")
    return size
