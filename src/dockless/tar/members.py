"""Reads a tar's structure while it streams by: that it is one, that it is whole, and how many entries it has."""

from __future__ import annotations

from dockless.errors import LayerError

_BLOCK = 512
# Entries that are about the next one: their content is small in any tar that somebody made in earnest.
_ABOUT_NEXT = frozenset((b"x", b"g", b"L", b"K"))
_MAX_ABOUT = 16 * 1024 * 1024
_MAX_SIZE = 2**63 - 1


class MemberReader:
    """Takes a tar in pieces of any size; holds one header, and of extended headers what fits in 16 MiB."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._rest = b""
        self._skip = 0
        self._offset = 0
        self._about: bytearray | None = None
        self._about_left = 0
        self._next_size: int | None = None
        self._ended = False
        self.count = 0

    def feed(self, piece: bytes) -> None:
        """The next bytes. Raises LayerError, naming the place, for what is no tar."""
        at = 0
        while at < len(piece) and not self._ended:
            if self._skip:
                step = min(self._skip, len(piece) - at)
                if self._about is not None and self._about_left:
                    taken = min(step, self._about_left)
                    self._about += piece[at : at + taken]
                    self._about_left -= taken
                self._skip -= step
                self._offset += step
                at += step
                if not self._skip and self._about is not None:
                    self._read_about()
                continue
            need = _BLOCK - len(self._rest)
            self._rest += piece[at : at + need]
            at += min(need, len(piece) - at)
            if len(self._rest) == _BLOCK:
                block, self._rest = self._rest, b""
                self._header(block)
                self._offset += _BLOCK

    def finish(self) -> None:
        """Raises LayerError where the tar is cut off. A missing end is none: many tars have no zero blocks."""
        if self._rest or self._skip or self._about is not None:
            raise self._wrong("it is cut off")

    def _header(self, block: bytes) -> None:
        if not block.strip(b"\0"):
            self._ended = True
            return
        if _octal(block[148:156]) != sum(block[:148]) + 8 * 32 + sum(block[156:]):
            raise self._wrong("a header's checksum is wrong")
        kind = block[156:157]
        size = _size(block[124:136])
        if size is None:
            raise self._wrong("a header has no usable size")
        if kind in _ABOUT_NEXT:
            if size > _MAX_ABOUT:
                raise self._wrong(f"an extended header has {size} bytes")
            self._about = bytearray() if kind == b"x" else None
            self._about_left = size
        else:
            self.count += 1
            size = self._next_size if self._next_size is not None else size
            self._next_size = None
            # Links and devices have no content, whatever their size says (POSIX, ustar, "size").
            if kind in (b"1", b"2", b"3", b"4", b"5", b"6"):
                size = 0
        self._skip = size + -size % _BLOCK
        if not self._skip and self._about is not None:
            self._about = None

    def _read_about(self) -> None:
        """Of a PAX header, the size that the next entry's content has."""
        data, self._about = bytes(self._about or b""), None
        at = 0
        while at < len(data):
            length, space, _ = data[at : at + 20].partition(b" ")
            if not space or not length.isdigit() or not 0 < int(length) <= len(data) - at:
                raise self._wrong("an extended header cannot be read")
            record = data[at + len(length) + 1 : at + int(length)]
            if record.startswith(b"size="):
                digits = record[5:].rstrip(b"\n")
                if not digits.isdigit() or len(digits) > 19 or int(digits) > _MAX_SIZE:
                    raise self._wrong("an extended header has no usable size")
                self._next_size = int(digits)
            at += int(length)

    def _wrong(self, cause: str) -> LayerError:
        return LayerError(
            f"{self._what} is no whole tar", cause=f"{cause}, at byte {self._offset}", hint="make the tar anew"
        )


def _octal(field: bytes) -> int | None:
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and set(digits) <= set(b"01234567") else None


def _size(field: bytes) -> int | None:
    """Octal, or GNU's base 256 for large ones; never negative (CVE-2025-8194)."""
    if field[0] & 0x80:
        found = int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
        return found if not field[0] & 0x40 and found <= _MAX_SIZE else None
    digits = field.strip(b" \0")
    return _octal(field) if digits else 0
