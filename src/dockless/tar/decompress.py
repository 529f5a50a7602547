"""Decompression of layer blobs and archives while they are read. The first bytes tell the compression.

What may follow a stream was measured with Go's readers, podman 4.3, containerd 1.6 and Docker 20.10: another stream of
the same compression, after zstd frames also skippable frames, and after xz streams zeros, four at a time (the xz file
format, section 2.2). All other content is refused, also zeros after gzip, which the program gzip ignores.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Callable

from dockless._hashing import Readable
from dockless.errors import LayoutError

if TYPE_CHECKING:
    import bz2
    import lzma

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
# Skippable frames of zstd, with which some seekable files begin (RFC 8878, section 3.1.2).
_ZSTD_SKIPPABLE = (b"\x2a\x4d\x18", 0x50, 0x5F)
_BZIP2, _XZ = b"BZh", b"\xfd7zXZ\0"
# Bytes of memory for one xz stream. `xz -9` needs 65 MiB.
_XZ_MEMORY = 256 << 20
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
    return "bzip2" if head.startswith(_BZIP2) else "xz" if head.startswith(_XZ) else "none"


def decompress(file: Readable, label: str, size: int = 0, *, archive: bool = False) -> Iterator[bytes]:
    """Yield the decompressed content of `file`, chunk by chunk.

    An `archive` and its layers may also be compressed with bzip2 or xz, as in `docker load`; the layers of manifests
    may not. Raises LayoutError, which names the blob `label`, for a damaged or truncated stream, for bytes after its
    end, for another compression, and for a decompression bomb: more than 1 GiB and more than 1100 times the blob's
    `size` in bytes (0: not known; then the bytes read so far count).
    """
    head = file.read(_CHUNK)
    kind = detect_format(head)
    if kind == "none":
        while head:
            yield head
            head = file.read(_CHUNK)
        return
    chunks = {"gzip": _gunzip, "zstd": _decompress_zstd, "bzip2": _decompress_bzip2, "xz": _decompress_xz}[kind]
    if kind in ("bzip2", "xz") and not archive:
        raise LayoutError(f"{label} is compressed with {kind}", hint="compress layers with gzip or zstd")
    counted = _Counted(file, head)
    out = 0
    for chunk in chunks(counted, label):
        out += len(chunk)
        if is_bomb(out, max(size, counted.bytes)):
            raise LayoutError(
                f"{label} is a decompression bomb", cause=f"{counted.bytes} bytes became more than {out - len(chunk)}"
            )
        yield chunk


def is_bomb(size: int, compressed_size: int) -> bool:
    """Return whether so few bytes are not decompressed to so many, by the limits of `decompress`."""
    return size > max(_ALWAYS_ALLOWED, _MAX_EXPANSION * compressed_size)


def decompressed_file(file: BinaryIO, label: str) -> BinaryIO:
    """Return a file with the decompressed content of `file`, which is closed with that file. It cannot seek."""
    return io.BufferedReader(_Decompressed(file, label), _CHUNK)


class _Decompressed(io.RawIOBase):
    def __init__(self, file: BinaryIO, label: str) -> None:
        self._file = file
        self._chunks = decompress(file, label, archive=True)
        self._chunk = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if not self._chunk:
            self._chunk = memoryview(next(self._chunks, b""))
        data = self._chunk[: len(view)]
        view[: len(data)] = data
        self._chunk = self._chunk[len(data) :]
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


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

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only at the end; they are returned again."""
        while len(self._piece) - self._at < size and (data := self._file.read(_CHUNK)):
            self.bytes += len(data)
            self._piece, self._at = memoryview(bytes(self._piece[self._at :]) + data), 0
        return bytes(self._piece[self._at : self._at + size])

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
                if not _has_stream(source, label, "gzip", _GZIP):
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


def _has_stream(source: _Counted, label: str, kind: str, magic: bytes) -> bool:
    """Return whether another stream of the same compression follows."""
    head = source.peek(len(magic))
    if head != magic[: len(head)]:
        raise LayoutError(f"{label} has other bytes after its {kind} stream")
    return bool(head)


def _decompress_bzip2(source: _Counted, label: str) -> Iterator[bytes]:
    try:
        import bz2
    except ImportError:
        raise _missing(label, "bzip2", "bz2") from None
    return _decompress_streams(source, label, "bzip2", bz2.BZ2Decompressor, _BZIP2, (OSError,))


def _decompress_xz(source: _Counted, label: str) -> Iterator[bytes]:
    try:
        import lzma
    except ImportError:
        raise _missing(label, "xz", "lzma") from None

    def decompressor() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    return _decompress_streams(source, label, "xz", decompressor, _XZ, (lzma.LZMAError,))


def _missing(label: str, kind: str, module: str) -> LayoutError:
    return LayoutError(
        f"{label} is compressed with {kind}",
        cause=f"this Python has no module {module}",
        hint=f"use a Python that was built with {kind}, or decompress the file",
    )


def _decompress_streams(
    source: _Counted,
    label: str,
    kind: str,
    decompressor: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor],
    magic: bytes,
    errors: tuple[type[Exception], ...],
) -> Iterator[bytes]:
    """Yield the content of streams that follow each other, each of which begins with `magic`."""
    feed = _MIN_FEED
    stream = decompressor()
    while True:
        data = source.take(feed) if stream.needs_input else b""
        if stream.needs_input and not data:
            raise LayoutError(f"{label} is truncated", cause=f"its {kind} stream has no end")
        try:
            chunk = stream.decompress(data, _CHUNK)
        except errors as error:
            raise LayoutError(f"{label} is damaged", cause=f"{kind}: {error}") from error
        if chunk:
            yield chunk
        feed = min(2 * feed, _CHUNK)
        if stream.eof:
            feed = _MIN_FEED
            source.unread(len(stream.unused_data))
            if kind == "xz":
                _skip_xz_padding(source, label)
            if not _has_stream(source, label, kind, magic):
                return
            stream = decompressor()


def _skip_xz_padding(source: _Counted, label: str) -> None:
    zeros = 0
    while data := source.take(_CHUNK):
        rest = bytes(data).lstrip(b"\0")
        zeros += len(data) - len(rest)
        if rest:
            source.unread(len(rest))
            break
    if zeros % 4:
        raise LayoutError(f"{label} has other bytes after its xz stream")


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
