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
# Bytes that a gzip decompressor is given at once at the beginning of a member.
_MIN_FEED = 4096
# Bytes that a zstd decompressor is given at once. Four bytes may become 128 KiB (RFC 8878, RLE blocks), and the output
# has no other limit.
_ZSTD_FEED = 1024


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

    Raises LayoutError, which names the blob `label`, for a damaged or truncated stream, for bytes after its end, for an
    unknown compression, and for a decompression bomb: more than 1 GiB and more than 1100 times the blob's `size`
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
    """Reads a file after bytes that were read before, and counts the bytes that were read from the file."""

    def __init__(self, file: Readable, head: bytes) -> None:
        self._file = file
        self._piece = memoryview(head)
        self._at = 0
        self.bytes = len(head)

    def take(self, size: int) -> memoryview:
        """Return up to `size` bytes; none at the end."""
        if self._at == len(self._piece):
            self._piece, self._at = memoryview(self._file.read(_CHUNK)), 0
            self.bytes += len(self._piece)
        data = self._piece[self._at : self._at + size]
        self._at += len(data)
        return data

    def unread(self, size: int) -> None:
        """Return the last `size` bytes of what `take` returned: they are returned again."""
        self._at -= size


def _gunzip(source: _Counted, label: str) -> Iterator[bytes]:
    member = zlib.decompressobj(31)
    feed = _MIN_FEED
    data: memoryview | bytes = source.take(feed)
    try:
        while True:
            # Without a bound, a bomb would fill the memory in one call.
            chunk = member.decompress(data, _CHUNK)
            if chunk:
                yield chunk
            if member.eof:
                # The end of a member copies the rest of what it was given. Long members are given more and more, so
                # that the time is linear in the number of bytes, even if members have only 20 bytes.
                feed = _MIN_FEED
                source.unread(len(member.unused_data))
                if not _has_member(source, label):
                    return
                member = zlib.decompressobj(31)
                data = source.take(feed)
                continue
            data = member.unconsumed_tail
            if not data:
                feed = min(2 * feed, _CHUNK)
                data = source.take(feed)
            if not data and not chunk:
                raise LayoutError(f"{label} is truncated", cause="its gzip stream has no end")
    except zlib.error as error:
        raise LayoutError(f"{label} is damaged", cause=f"gzip: {error}") from error


def _has_member(source: _Counted, label: str) -> bool:
    """Return whether another gzip member follows. After the last one, zeros may follow up to the end."""
    rest = source.take(_MIN_FEED)
    if rest and rest[:2] == _GZIP[: len(rest)]:
        source.unread(len(rest))
        return True
    while rest:
        if bytes(rest).strip(b"\0"):
            raise LayoutError(f"{label} has other bytes after its gzip stream")
        rest = source.take(_CHUNK)
    return False


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
        while data := source.take(_ZSTD_FEED):
            if frame.eof:
                frame = decompressor.decompressobj()
            chunk = frame.decompress(data)
            source.unread(len(frame.unused_data))
            begun = not frame.eof
            if chunk:
                yield chunk
    except zstandard.ZstdError as error:
        raise LayoutError(f"{label} is damaged", cause=f"zstd: {error}") from error
    if begun:
        raise LayoutError(f"{label} is truncated", cause="its zstd stream has no end")
