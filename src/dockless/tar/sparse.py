"""Sparse files of GNU tar: the formats 0.0, 0.1 and 1.0 in pax archives, and the old format, which has the type `S`.

GNU tar manual, "Storing Sparse Files" and "Basic Tar Format". podman, containerd and Docker do not extract layers with
files of the type `S`, but read archives of images that have such members.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

# Bytes of a map. Go's archive/tar has the same limit.
_MAX_MAP = 1 << 20
_BLOCK = 512
_VERSIONS = ((b"0", b"0"), (b"0", b"1"), (b"1", b"0"))


class _Readable(Protocol):
    def read(self, size: int) -> bytes: ...


def is_sparse(records: Mapping[bytes, bytes]) -> bool:
    """Return whether the records of a pax header describe a sparse file.

    As in Go's archive/tar, records of another version are ignored, and a map without a version is enough.
    """
    version = records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b"")
    return version in _VERSIONS or (version == (b"", b"") and bool(records.get(b"GNU.sparse.map")))


class SparseMap(NamedTuple):
    """The map of a sparse file: `numbers` are the offset and the length of each extent, one after the other.

    `size` is that of the file in bytes, with its holes. The stored bytes begin `taken` bytes after the beginning of the
    content.
    """

    numbers: Sequence[int]
    size: int
    taken: int


def read_map(records: Mapping[bytes, bytes], content: _Readable, size: int) -> tuple[int, int, SparseMap | None]:
    """Read the map of a sparse file, which format 1.0 has at the beginning of the `size` bytes of its content.

    Returns the number of bytes that were read from `content`, the number of extents, and the map, or None if it is not
    valid.
    """
    if records.get(b"GNU.sparse.major") == b"1":
        numbers, taken = _numbers_of_content(content, size)
    else:
        numbers, taken = _numbers_of_records(records), 0
    real_size = _number(records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize") or b"%d" % size)
    if numbers is None or real_size is None:
        return taken, 0, None
    return taken, len(numbers) // 2, checked_map(numbers, real_size, taken, size)


def checked_map(numbers: Sequence[int], real_size: int, taken: int, size: int) -> SparseMap | None:
    """Return the map of a file whose content has `size` bytes; None if it is not valid.

    The extents must be in order and within the file, and the stored bytes must be those of the extents.
    """
    end = stored = 0
    for offset, length in zip(numbers[::2], numbers[1::2]):
        if offset < end:
            return None
        end = offset + length
        stored += length
    if end > real_size or stored != size - taken or real_size >= 1 << 62:
        return None
    return SparseMap(array("Q", numbers), real_size, taken)


def _numbers_of_records(records: Mapping[bytes, bytes]) -> Sequence[int] | None:
    """Return the offsets and lengths of the formats 0.0 and 0.1; None if they are not valid."""
    count = _number(records.get(b"GNU.sparse.numblocks", b""))
    joined = records.get(b"GNU.sparse.map", b"")
    numbers = [_number(text) for text in joined.split(b",")] if joined else []
    valid = [number for number in numbers if number is not None]
    return valid if count is not None and len(valid) == len(numbers) == 2 * count else None


def _numbers_of_content(content: _Readable, size: int) -> tuple[Sequence[int] | None, int]:
    """Return the offsets and lengths of the format 1.0, or None if they are not valid, and the size of the map."""
    data = b""
    taken = 0
    needed = 1
    numbers: list[int] = []
    while len(numbers) < needed:
        if taken >= min(size, _MAX_MAP):
            return None, taken
        block = content.read(min(_BLOCK, size - taken))
        if not block:
            return None, taken
        taken += len(block)
        *lines, data = (data + block).split(b"\n")
        for line in lines:
            number = _number(line)
            if number is None:
                return None, taken
            numbers.append(number)
            needed = 1 + 2 * numbers[0]
            if len(numbers) == needed:
                break
        if len(data) > _BLOCK:
            return None, taken
    return numbers[1:], taken


def _number(text: bytes) -> int | None:
    return int(text) if text.isdigit() and len(text) < 20 else None
