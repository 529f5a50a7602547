"""Writes entries as a tar stream, in blocks of one size."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dockless.layer.entries import Entry, unreadable
from dockless.layer.permissions import resolved_mode
from dockless.tar.header import FILE, HARD_LINK, SYMLINK, tar_header

_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Block(NamedTuple):
    """A block of the tar stream, in writable memory. All blocks but the last have the same size."""

    data: memoryview


def tar_blocks(entries: Iterable[Entry], mtime: int, size: int) -> Iterator[Block]:
    """Yield the tar stream of `entries`, which are sorted.

    Raises LayerError for a file that is unreadable or changes.
    """
    filler = _Filler(size)
    for entry in entries:
        if entry.path:
            yield from _file_blocks(filler, entry, mtime)
        else:
            link = entry.link if entry.kind in (SYMLINK, HARD_LINK) else b""
            data = entry.data if entry.kind == FILE else b""
            header = tar_header(entry.name, entry.kind, entry.mode, entry.uid, entry.gid, len(data), mtime, link)
            yield from filler.put(header + data)
            yield from filler.skip(-len(data) % 512)
    # Two zero blocks end the archive. Padding to a larger record is only needed on magnetic tape.
    yield from filler.skip(1024)
    last = filler.last_block()
    if last is not None:
        yield last


def _file_blocks(filler: _Filler, entry: Entry, mtime: int) -> Iterable[Block]:
    """Return the blocks that a file fills. The end of the file remains in `filler`."""
    try:
        descriptor = os.open(entry.file, _OPEN)
    except OSError as error:
        raise unreadable(entry.origin, entry.file, error) from error
    slow = False
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise unreadable(entry.origin, entry.file, "the path is no longer a file")
        mode = resolved_mode(entry.mode, info.st_mode)
        header = tar_header(entry.name, FILE, mode, entry.uid, entry.gid, info.st_size, mtime)
        # Most files are small and fit in the current block: no generator, no loop.
        slow = not filler.take(header, descriptor, info.st_size)
        if not slow:
            _check_unchanged(descriptor, info, entry)
            return ()
    except OSError as error:
        raise unreadable(entry.origin, entry.file, error) from error
    finally:
        if not slow:
            os.close(descriptor)
    return _large_file_blocks(filler, entry, descriptor, info, header)


def _large_file_blocks(
    filler: _Filler, entry: Entry, descriptor: int, info: os.stat_result, header: bytes
) -> Iterator[Block]:
    try:
        yield from filler.put(header)
        yield from filler.read(descriptor, info.st_size, entry)
        _check_unchanged(descriptor, info, entry)
    finally:
        os.close(descriptor)
    yield from filler.skip(-info.st_size % 512)


def _check_unchanged(descriptor: int, before: os.stat_result, entry: Entry) -> None:
    after = os.fstat(descriptor)
    if after.st_size != before.st_size or after.st_mtime_ns != before.st_mtime_ns:
        raise unreadable(entry.origin, entry.file, "the file changed while it was read")


class _Filler:
    """Fills blocks in place: files are read directly into the block, and padding is the zeros of a new block."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._begin()

    def _begin(self) -> None:
        self._block = memoryview(bytearray(self._size))
        self._position = 0

    def _full(self) -> Block:
        block = Block(self._block)
        self._begin()
        return block

    def take(self, header: bytes, descriptor: int, n: int) -> bool:
        """Add a file of `n` bytes and its padding if they fit in the block; else return False."""
        begin = self._position + len(header)
        end = begin + n
        if end + 512 > self._size:
            return False
        if n and os.readv(descriptor, [self._block[begin:end]]) != n:
            # A short read, because of a signal or a file that shrank: `read` reads the file again and finds out.
            os.lseek(descriptor, 0, os.SEEK_SET)
            return False
        self._block[self._position : begin] = header
        self._position = end + -n % 512
        return True

    def put(self, data: bytes) -> Iterator[Block]:
        at = 0
        while at < len(data):
            n = min(len(data) - at, self._size - self._position)
            self._block[self._position : self._position + n] = data[at : at + n] if at or n < len(data) else data
            self._position += n
            at += n
            if self._position == self._size:
                yield self._full()

    def skip(self, n: int) -> Iterator[Block]:
        while n:
            step = min(n, self._size - self._position)
            self._position += step
            n -= step
            if self._position == self._size:
                yield self._full()

    def read(self, descriptor: int, n: int, entry: Entry) -> Iterator[Block]:
        while n:
            length = min(n, self._size - self._position)
            try:
                count = os.readv(descriptor, [self._block[self._position : self._position + length]])
            except OSError as error:
                raise unreadable(entry.origin, entry.file, error) from error
            if not count:
                raise unreadable(entry.origin, entry.file, "the file shrank while it was read")
            self._position += count
            n -= count
            if self._position == self._size:
                yield self._full()

    def last_block(self) -> Block | None:
        return Block(self._block[: self._position]) if self._position else None
