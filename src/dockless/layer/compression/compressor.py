"""Compresses blocks concurrently, writes them in order, and computes the diff ID on the way."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from dockless.errors import LayerError
from dockless.layer.compression import Encoder
from dockless.layer.tar_writer import Block
from dockless.oci.digest import Digest

# Bytes. How far a deflate stream may refer back (RFC 1951): the part of the stream that a block is given.
_WINDOW = 32 * 1024
_MOST_THREADS = 8
_MOST_UNHASHED = 2


class Encoded(NamedTuple):
    """The diff ID and the size in bytes of the uncompressed stream."""

    diff_id: Digest
    size: int


class _Job:
    """A block to compress. `done` receives the result, or the exception that was raised."""

    __slots__ = ("before", "block", "done")

    def __init__(self, block: Block, before: bytes) -> None:
        self.block: Block | None = block
        self.before = before
        self.done: SimpleQueue[Any] = SimpleQueue()

    def take(self) -> Block:
        """Return the block and drop it, so that block and result are not in memory together."""
        block, self.block = self.block, None
        assert block is not None
        return block


def encode_blocks(
    blocks: Iterable[Block], encoder: Encoder, sink: Callable[[bytes], None], threads: int | None = None
) -> Encoded:
    """Write the compressed blob to `sink`, chunk by chunk and in order. Raises what `blocks` or the encoder raise.

    At most `threads + 4` blocks are in memory at a time.
    """
    if threads is not None and (not isinstance(threads, int) or threads < 0):
        raise LayerError(f"`threads` is {threads!r:.50}", hint="write 0 or more")
    if threads is None:
        threads = min(os.cpu_count() or 1, _MOST_THREADS)
    if encoder.format == "none":
        threads = 0
    stream = _Stream(encoder)
    sink(encoder.begin())
    if threads:
        _encode_threaded(blocks, encoder, sink, threads, stream)
    else:
        encode = encoder.worker()
        for block in blocks:
            before = stream.window
            stream.see(block)
            stream.hash(block)
            sink(encode(block, before))
    sink(encoder.end(stream.crc, stream.size))
    return Encoded(Digest("sha256:" + stream.diff_id.hexdigest()), stream.size)


class _Stream:
    """State of the uncompressed stream: size, CRC-32, window and diff ID."""

    def __init__(self, encoder: Encoder) -> None:
        self.size = 0
        self.crc = 0
        self.window = b""
        self.diff_id = hashlib.sha256()
        self._checksum: Callable[[memoryview, int], int] | None = None
        if encoder.needs_stream:
            import zlib

            self._checksum = zlib.crc32

    def see(self, block: Block) -> None:
        self.size += len(block.data)
        if self._checksum:
            self.window = bytes(block.data[-_WINDOW:])

    def hash(self, block: Block) -> None:
        """Hash a block. Called in order, possibly in another thread."""
        self.diff_id.update(block.data)
        if self._checksum:
            self.crc = self._checksum(block.data, self.crc)


def _encode_threaded(
    blocks: Iterable[Block], encoder: Encoder, sink: Callable[[bytes], None], threads: int, stream: _Stream
) -> None:
    jobs: SimpleQueue[_Job | None] = SimpleQueue()
    # Bounded, because on a busy machine the hashing thread may fall behind, and blocks that are not hashed stay in
    # memory. Not a bounded Queue: an exception of a signal handler within `put` leaves the queue full and its reader
    # waiting, and the final `put` would block forever.
    hashed: SimpleQueue[Block | None] = SimpleQueue()
    slots: SimpleQueue[None] = SimpleQueue()
    for _ in range(_MOST_UNHASHED):
        slots.put(None)
    workers = [Thread(target=_work, args=(encoder, jobs), daemon=True) for _ in range(threads)]
    hasher = Thread(target=_hash, args=(stream, hashed, slots), daemon=True)
    waiting: deque[_Job] = deque()
    for thread in (*workers, hasher):
        thread.start()
    try:
        for block in blocks:
            job = _Job(block, stream.window)
            stream.see(block)
            slots.get()
            hashed.put(block)
            jobs.put(job)
            waiting.append(job)
            while len(waiting) > threads or (waiting and not waiting[0].done.empty()):
                _finish(waiting.popleft(), sink)
        while waiting:
            _finish(waiting.popleft(), sink)
    finally:
        for _ in workers:
            jobs.put(None)
        hashed.put(None)
        for thread in (*workers, hasher):
            thread.join()


def _work(encoder: Encoder, jobs: SimpleQueue[_Job | None]) -> None:
    encode = None
    while True:
        job = jobs.get()
        if job is None:
            return
        try:
            encode = encode or encoder.worker()
            job.done.put(encode(job.take(), job.before))
        except BaseException as error:
            job.done.put(error)
        # Without this, the thread would keep job and result until the next job.
        del job


def _hash(stream: _Stream, blocks: SimpleQueue[Block | None], slots: SimpleQueue[None]) -> None:
    while True:
        block = blocks.get()
        if block is None:
            return
        stream.hash(block)
        del block
        slots.put(None)


def _finish(job: _Job, sink: Callable[[bytes], None]) -> None:
    result = job.done.get()
    if isinstance(result, BaseException):
        raise result
    sink(result)
