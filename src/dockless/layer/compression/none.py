"""`none`: the tar stream without compression."""

from __future__ import annotations

from collections.abc import Callable

from dockless.layer.tar_writer import Block

DEFAULT_LEVEL = 0
LEVELS: range = range(0)


class PlainEncoder:
    """The encoder of `none`: the blob is the tar stream. An Encoder."""

    fingerprint = "none"
    format = "none"
    block_size = 1 << 20
    needs_stream = False

    def worker(self) -> Callable[[Block, bytes], bytes]:
        # The compressor hashes and writes the output before it drops the block: no copy is needed.
        return lambda block, before: block.data  # type: ignore[return-value]

    def begin(self) -> bytes:
        return b""

    def end(self, crc: int, size: int) -> bytes:
        return b""


def make(level: int) -> PlainEncoder:
    """Return the encoder. There are no levels."""
    return PlainEncoder()
