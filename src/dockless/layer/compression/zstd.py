"""`zstd`: each block is a zstd frame (RFC 8878, section 3: a file is a series of frames).

Versions of libzstd write different bytes (1.5.2, 1.5.5, 1.5.6 and 1.5.7 all differ), so the version is pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dockless.errors import LayerError
from dockless.layer.compression import missing
from dockless.layer.tar_writer import Block

LIBRARY_VERSION = (1, 5, 7)
DEFAULT_LEVEL = 3
LEVELS = range(1, 20)


class ZstdEncoder:
    """The encoder of `zstd`: each block is a frame. An Encoder."""

    format = "zstd"
    # Frames of 1 MiB give 5 % larger layers than frames of 4 MiB.
    block_size = 4 << 20
    needs_stream = False

    def __init__(self, level: int, library: Any) -> None:
        self.fingerprint = f"zstd:{level} libzstd {'.'.join(map(str, LIBRARY_VERSION))} frames of 4 MiB"
        self._level = level
        self._library = library

    def worker(self) -> Callable[[Block, bytes], bytes]:
        compressor = self._library.ZstdCompressor(level=self._level, write_content_size=True, write_checksum=False)

        def encode(block: Block, before: bytes) -> bytes:
            frame: bytes = compressor.compress(block.data)
            return frame

        return encode

    def begin(self) -> bytes:
        return b""

    def end(self, crc: int, size: int) -> bytes:
        return b""


def make(level: int) -> ZstdEncoder:
    """Return the encoder for a level. Raises LayerError if the library is missing or has another version."""
    try:
        import zstandard
    except ImportError as error:
        raise missing("zstandard", "zstd", "zstd", error) from None
    if zstandard.ZSTD_VERSION != LIBRARY_VERSION:
        required, installed = (".".join(map(str, version)) for version in (LIBRARY_VERSION, zstandard.ZSTD_VERSION))
        raise LayerError(
            f"`compression`: zstd needs libzstd {required}, and {installed} is installed", hint="install dockless[zstd]"
        )
    return ZstdEncoder(level, zstandard)
