"""Blobs of layers decompressed as they are read: gzip, zstd and none, told apart by their first bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from dockless._hashing import Readable
from dockless.errors import LayoutError

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# zstd's skippable frames, which come first in some seekable files (RFC 8878, section 3.1.2).
_ZSTD_SKIPPABLE = (b"\x2a\x4d\x18", 0x50, 0x5F)
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_CHUNK = 1 << 20
# No gzip stream expands more than 1032 times (RFC 1951's longest match); a zstd one may, a hundred thousand times.
_MAX_EXPANSION = 1100
_ALWAYS_ALLOWED = 1 << 30
_ZSTD_FEED = 4096


def detect_format(head: bytes) -> str:
    """`gzip`, `zstd` or `none`, by the first bytes of a blob; another compression's name as it is."""
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(_ZSTD) or (
        head[1:4] == _ZSTD_SKIPPABLE[0] and _ZSTD_SKIPPABLE[1] <= head[0] <= _ZSTD_SKIPPABLE[2]
    ):
        return "zstd"
    return next((name for magic, name in _OTHERS.items() if head.startswith(magic)), "none")


def decoded(file: Readable, what: str, size: int = 0) -> Iterator[bytes]:
    """What is inside of `file`, piece by piece, whatever it is compressed with.

    Raises LayoutError, naming the blob `what`: damaged or cut off, bytes after the end, an unknown compression, and a
    bomb, which is more than 1 GiB at more than 1100 times the blob's `size` in bytes (0: not known; then of what was
    read of it).
    """
    head = file.read(_CHUNK)
    kind = detect_format(head)
    if kind == "none":
        while head:
            yield head
            head = file.read(_CHUNK)
        return
    pieces = {"gzip": _gunzipped, "zstd": _unzstd}.get(kind)
    if pieces is None:
        raise LayoutError(f"{what} is compressed with {kind}", hint="only gzip and zstd are layers' compressions")
    counted = _Counted(file, head)
    out = 0
    for piece in pieces(counted, what):
        out += len(piece)
        if out > max(_ALWAYS_ALLOWED, _MAX_EXPANSION * max(size, counted.bytes)):
            raise LayoutError(
                f"{what} is a decompression bomb", cause=f"{counted.bytes} bytes became more than {out - len(piece)}"
            )
        yield piece


class _Counted:
    """What is read, with what was read before, and how much it was."""

    def __init__(self, file: Readable, head: bytes) -> None:
        self._file = file
        self._head: bytes | None = head
        self.bytes = 0

    def read(self) -> bytes:
        data = self._head if self._head is not None else self._file.read(_CHUNK)
        self._head = None
        self.bytes += len(data)
        return data


def _gunzipped(source: _Counted, what: str) -> Iterator[bytes]:
    member = zlib.decompressobj(31)
    data = source.read()
    try:
        while True:
            # Bounded, or a bomb would fill the memory in one call.
            piece = member.decompress(data, _CHUNK)
            if piece:
                yield piece
            if member.eof:
                data = _next_member(member.unused_data, source, what)
                if not data:
                    return
                member = zlib.decompressobj(31)
                continue
            data = member.unconsumed_tail or source.read()
            if not data and not piece:
                raise LayoutError(f"{what} is cut off", cause="its gzip stream has no end")
    except zlib.error as error:
        raise LayoutError(f"{what} is damaged", cause=f"gzip: {error}") from error


def _next_member(rest: bytes, source: _Counted, what: str) -> bytes:
    """The begin of the next member; nothing at the end, which zeros may pad (as tapes and block devices do)."""
    while not rest.strip(b"\0"):
        rest = source.read()
        if not rest:
            return b""
    if not rest.startswith(_GZIP[: len(rest)]):
        raise LayoutError(f"{what} has something else after its gzip stream")
    return rest


def _unzstd(source: _Counted, what: str) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise LayoutError(
            f"{what} is compressed with zstd", cause="zstandard is not installed", hint="pip install 'dockless[zstd]'"
        ) from None
    # 128 MiB, the window of `zstd --ultra`: a frame that asks for more is refused.
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    frame = decompressor.decompressobj()
    begun = False
    try:
        while data := source.read():
            # Each four bytes may become 128 KiB (RFC 8878, RLE blocks): few at a time keep a bomb small.
            pieces = [data[at : at + _ZSTD_FEED] for at in range(0, len(data), _ZSTD_FEED)]
            for rest in pieces:
                while rest:
                    if frame.eof:
                        frame = decompressor.decompressobj()
                    piece = frame.decompress(rest)
                    rest = frame.unused_data
                    begun = not frame.eof
                    if piece:
                        yield piece
    except zstandard.ZstdError as error:
        raise LayoutError(f"{what} is damaged", cause=f"zstd: {error}") from error
    if begun:
        raise LayoutError(f"{what} is cut off", cause="its zstd stream has no end")
