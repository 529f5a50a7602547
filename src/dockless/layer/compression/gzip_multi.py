"""`gzip`: each block is a gzip member, compressed by libdeflate (RFC 1952, section 2.2: a file is a series of members).

Blocks are independent and are compressed concurrently. Readers of container images accept several members (tried: Go,
containerd, docker, podman, umoci, skopeo, GNU gzip, pigz, busybox, Python).
"""

from __future__ import annotations

from collections.abc import Callable

from dockless.layer.compression.libdeflate import (
    GZIP_HEADER_SIZE,
    LEVELS,
    Compressor,
    check_known_answer,
    crc32,
    gzip_trailer,
)
from dockless.layer.compression.stored_deflate import is_incompressible, stored_deflate
from dockless.layer.tar_writer import Block

__all__ = ["DEFAULT_LEVEL", "LEVELS", "GzipEncoder", "make"]

DEFAULT_LEVEL = 1
# No name, time or flags, OS "unknown": the header of the library would name its platform.
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class GzipEncoder:
    """The encoder of `gzip`: each block is a gzip member. An Encoder."""

    format = "gzip"
    block_size = 1 << 20
    needs_stream = False

    def __init__(self, level: int) -> None:
        self.fingerprint = f"gzip:{level} libdeflate members of 1 MiB"
        self._level = level

    def worker(self) -> Callable[[Block, bytes], bytes]:
        compressor, prober, checksum = Compressor(self._level), Compressor(1), crc32()

        def size_of(sample: memoryview) -> int:
            return len(prober.gzip(sample)) - GZIP_HEADER_SIZE - 8

        def encode(block: Block, before: bytes) -> bytes:
            data = block.data
            if is_incompressible(data, size_of):
                return HEADER + stored_deflate(data) + gzip_trailer(checksum(data, 0), len(data))
            return HEADER + compressor.gzip(data)[GZIP_HEADER_SIZE:]

        return encode

    def begin(self) -> bytes:
        return b""

    def end(self, crc: int, size: int) -> bytes:
        return b""


def make(level: int) -> GzipEncoder:
    """Return the encoder for a level. Raises LayerError if the library does not give the known bytes."""
    check_known_answer(level)
    return GzipEncoder(level)
