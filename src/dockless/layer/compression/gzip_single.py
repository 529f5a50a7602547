"""`gzip-single`: one gzip member, compressed by zlib-ng, for readers that stop after the first member.

Blocks are compressed concurrently: each is raw deflate that ends on a byte boundary (sync flush) and may refer to the
32 KiB before it. zlib-ng at these levels writes the same bytes on every CPU tried; other versions of zlib-ng do not, so
the version is pinned and part of the fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dockless.errors import LayerError
from dockless.layer.compression import missing
from dockless.layer.compression.gzip_multi import HEADER
from dockless.layer.compression.libdeflate import gzip_trailer
from dockless.layer.tar_writer import Block

VERSION = "1.1.0"
DEFAULT_LEVEL = 2
# Levels whose output did not depend on how the input was divided.
LEVELS = (2, 3, 9)
# An empty final block of fixed codes (RFC 1951, section 3.2.3).
_LAST = b"\x03\x00"


class GzipSingleEncoder:
    """The encoder of `gzip-single`: all blocks are one gzip member. An Encoder."""

    format = "gzip"
    block_size = 1 << 20
    needs_stream = True

    def __init__(self, level: int, library: Any) -> None:
        self.fingerprint = f"gzip-single:{level} zlib-ng {VERSION} blocks of 1 MiB"
        self._level = level
        self._library = library

    def worker(self) -> Callable[[Block, bytes], bytes]:
        z = self._library

        def encode(block: Block, before: bytes) -> bytes:
            options = (self._level, z.DEFLATED, -15, 8, z.Z_DEFAULT_STRATEGY)
            compressor = z.compressobj(*options, before) if before else z.compressobj(*options)
            output: bytes = compressor.compress(block.data) + compressor.flush(z.Z_SYNC_FLUSH)
            return output

        return encode

    def begin(self) -> bytes:
        return HEADER

    def end(self, crc: int, size: int) -> bytes:
        return _LAST + gzip_trailer(crc, size)


def make(level: int) -> GzipSingleEncoder:
    """Return the encoder for a level. Raises LayerError if the library is missing or has another version."""
    try:
        from zlib_ng import __version__, zlib_ng
    except ImportError as error:
        raise missing("zlib-ng", "gzip-single", "gzip-single", error) from None
    if str(__version__) != VERSION:
        raise LayerError(
            f"`compression`: gzip-single needs zlib-ng {VERSION}, and {__version__} is installed",
            hint="install dockless[gzip-single]",
        )
    return GzipSingleEncoder(level, zlib_ng)
