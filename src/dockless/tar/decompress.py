"""Decompression of layer blobs while they are read: gzip, zstd or none, detected by the first bytes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from dockless._hashing import Readable
from dockless.errors import LayoutError

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# Skippable frames of zstd, with which some seekable files begin (RFC 8878, section 3.1.2).
_ZSTD_SKIPPABLE = (b"\x2a\x4d\x18", 0x50, 0x5F)
_OTHERS = {b"BZh": "bzip2", b"\xfd7zXZ\0": "xz"}
_CHUNK = 1 << 20
# A gzip stream expands at most 1032 times (the longest match of RFC 1951), a zstd stream a hundred thousand times.
_MAX_EXPANSION = 1100
_ALWAYS_ALLOWED = 1 << 30
_ZSTD_FEED = 4096


def detect_format(head: bytes) -> str:
    """Return `gzip`, `zstd` or `none` by the first bytes of a blob, or the name of a compression of no layer."""
    if head.startswith(_GZIP):
        return "gzip"
    if head.startswith(_ZSTD) or (
        head[1:4] == _ZSTD_SKIPPABLE[0] and _ZSTD_SKIPPABLE[1] <= head[0] <= _ZSTD_SKIPPABLE[2]
    ):
        return "zstd"
    return next((name for magic, name in _OTHERS.items() if head.startswith(magic)), "none")


def decompress(file: Readable, label: str, size: int = 0) -> Iterator[bytes]:
    """Yield the decompressed content of `file`, chunk by chunk.

    Raises LayoutError, which names the blob `label`, for a stream that is damaged or cut off, for bytes after its end,
    for an unknown compression, and for a decompression bomb: more than 1 GiB and more than 1100 times the blob's `size`
    in bytes (0: not known; then the bytes read so far count).
    """
    head = file.read(_CHUNK)
    kind = detect_format(head)
    if kind == "none":
        while head:
            yield head
            head = file.read(_CHUNK)
        return
    chunks = {"gzip": _gunzip, "zstd": _decompress_zstd}.get(kind)
    if chunks is None:
        raise LayoutError(f"{label} is compressed with {kind}", hint="compress layers with gzip or zstd")
    counted = _Counted(file, head)
    out = 0
    for chunk in chunks(counted, label):
        out += len(chunk)
        if out > max(_ALWAYS_ALLOWED, _MAX_EXPANSION * max(size, counted.bytes)):
            raise LayoutError(
                f"{label} is a decompression bomb", cause=f"{counted.bytes} bytes became more than {out - len(chunk)}"
            )
        yield chunk


class _Counted:
    """Reads a file after bytes that were read before, and counts all bytes."""

    def __init__(self, file: Readable, head: bytes) -> None:
        self._file = file
        self._head: bytes | None = head
        self.bytes = 0

    def read(self) -> bytes:
        data = self._head if self._head is not None else self._file.read(_CHUNK)
        self._head = None
        self.bytes += len(data)
        return data


def _gunzip(source: _Counted, label: str) -> Iterator[bytes]:
    member = zlib.decompressobj(31)
    data = source.read()
    try:
        while True:
            # Without a bound, a bomb would fill the memory in one call.
            chunk = member.decompress(data, _CHUNK)
            if chunk:
                yield chunk
            if member.eof:
                data = _next_member(member.unused_data, source, label)
                if not data:
                    return
                member = zlib.decompressobj(31)
                continue
            data = member.unconsumed_tail or source.read()
            if not data and not chunk:
                raise LayoutError(f"{label} is cut off", cause="its gzip stream has no end")
    except zlib.error as error:
        raise LayoutError(f"{label} is damaged", cause=f"gzip: {error}") from error


def _next_member(rest: bytes, source: _Counted, label: str) -> bytes:
    """Return the first bytes of the next member; nothing at the end, which may be padded with zeros."""
    while not rest.strip(b"\0"):
        rest = source.read()
        if not rest:
            return b""
    if not rest.startswith(_GZIP[: len(rest)]):
        raise LayoutError(f"{label} has other bytes after its gzip stream")
    return rest


def _decompress_zstd(source: _Counted, label: str) -> Iterator[bytes]:
    try:
        import zstandard
    except ImportError:
        raise LayoutError(
            f"{label} is compressed with zstd", cause="zstandard is not installed", hint="pip install 'dockless[zstd]'"
        ) from None
    # 128 MiB, the window of `zstd --ultra`: frames with a larger window are rejected.
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    frame = decompressor.decompressobj()
    begun = False
    try:
        while data := source.read():
            # Four bytes may become 128 KiB (RFC 8878, RLE blocks): feeding few at a time keeps the output small.
            chunks = [data[at : at + _ZSTD_FEED] for at in range(0, len(data), _ZSTD_FEED)]
            for rest in chunks:
                while rest:
                    if frame.eof:
                        frame = decompressor.decompressobj()
                    chunk = frame.decompress(rest)
                    rest = frame.unused_data
                    begun = not frame.eof
                    if chunk:
                        yield chunk
    except zstandard.ZstdError as error:
        raise LayoutError(f"{label} is damaged", cause=f"zstd: {error}") from error
    if begun:
        raise LayoutError(f"{label} is cut off", cause="its zstd stream has no end")
