"""Blocks through an encoder: several at once, out in order, both digests on the way."""

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

# How far a stream may refer back (RFC 1951): what a block is given of those before it.
_WINDOW = 32 * 1024
_MOST_THREADS = 8
_MOST_UNHASHED = 2


class Encoded(NamedTuple):
    """What was learned of the stream: the digest of its bytes before encoding, and how many they were."""

    diff_id: Digest
    size: int


class _Job:
    """One block on its way: `done` gives the result, or the exception that there was instead."""

    __slots__ = ("before", "block", "done")

    def __init__(self, block: Block, before: bytes) -> None:
        self.block: Block | None = block
        self.before = before
        self.done: SimpleQueue[Any] = SimpleQueue()

    def take(self) -> Block:
        """The block, which is not kept beside its result."""
        block, self.block = self.block, None
        assert block is not None
        return block


def encode_blocks(
    blocks: Iterable[Block], encoder: Encoder, sink: Callable[[bytes], None], threads: int | None = None
) -> Encoded:
    """Sends the encoded blob to `sink`, piece by piece and in order. Raises what `blocks` or the encoder raise.

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
    """What is remembered of the stream of blocks."""

    def __init__(self, encoder: Encoder) -> None:
        self.size = 0
        self.crc = 0
        self.window = b""
        self.diff_id = hashlib.sha256()
        self._checksum: Callable[[memoryview, int], int] | None = None
        if getattr(encoder, "needs_crc", False):
            import zlib

            self._checksum = zlib.crc32

    def see(self, block: Block) -> None:
        self.size += len(block.data)
        if self._checksum:
            self.window = bytes(block.data[-_WINDOW:])

    def hash(self, block: Block) -> None:
        """In order, but it may be in another thread."""
        self.diff_id.update(block.data)
        if self._checksum:
            self.crc = self._checksum(block.data, self.crc)


def _encode_threaded(
    blocks: Iterable[Block], encoder: Encoder, sink: Callable[[bytes], None], threads: int, stream: _Stream
) -> None:
    jobs: SimpleQueue[_Job | None] = SimpleQueue()
    # Bounded, because on a busy machine the hasher may get less than its turn, and keeps what it has not seen. Not by a
    # Queue of so many: a signal's exception within its put leaves it full, its reader not woken, and the next put, that
    # of the end, would wait for ever.
    hashed: SimpleQueue[Block | None] = SimpleQueue()
    room: SimpleQueue[None] = SimpleQueue()
    for _ in range(_MOST_UNHASHED):
        room.put(None)
    workers = [Thread(target=_work, args=(encoder, jobs), daemon=True) for _ in range(threads)]
    hasher = Thread(target=_hash, args=(stream, hashed, room), daemon=True)
    waiting: deque[_Job] = deque()
    for thread in (*workers, hasher):
        thread.start()
    try:
        for block in blocks:
            job = _Job(block, stream.window)
            stream.see(block)
            room.get()
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
        # Until the next one comes this thread would keep it, result and all.
        del job


def _hash(stream: _Stream, blocks: SimpleQueue[Block | None], room: SimpleQueue[None]) -> None:
    while True:
        block = blocks.get()
        if block is None:
            return
        stream.hash(block)
        del block
        room.put(None)


def _finish(job: _Job, sink: Callable[[bytes], None]) -> None:
    found = job.done.get()
    if isinstance(found, BaseException):
        raise found
    sink(found)
