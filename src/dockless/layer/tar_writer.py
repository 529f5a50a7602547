"""From entries to tar bytes, in blocks of one size, with the places where entries begin."""

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
    """A piece of the tar stream, in writable memory. All but the last have the same size.

    `starts` says which entries have the first byte of their header in it, and where in the whole stream: a seekable
    format needs to know, and the bytes alone do not say.
    """

    data: memoryview
    starts: tuple[tuple[int, Entry], ...]


def tar_blocks(entries: Iterable[Entry], mtime: int, size: int) -> Iterator[Block]:
    """The tar of `entries`, which are in order. Raises LayerError for a file that cannot be read or that changes."""
    filler = _Filler(size)
    for entry in entries:
        filler.start(entry)
        if entry.path:
            yield from _file_blocks(filler, entry, mtime)
        else:
            link = entry.link if entry.kind in (SYMLINK, HARD_LINK) else b""
            data = entry.data if entry.kind == FILE else b""
            header = tar_header(entry.name, entry.kind, entry.mode, entry.uid, entry.gid, len(data), mtime, link)
            yield from filler.put(header + data)
            yield from filler.skip(-len(data) % 512)
    # Two zero blocks end a tar; padding to a larger record is of magnetic tapes.
    yield from filler.skip(1024)
    last = filler.rest()
    if last is not None:
        yield last


def _file_blocks(filler: _Filler, entry: Entry, mtime: int) -> Iterable[Block]:
    """The header and the content of a file; what does not fill a block is in `filler` when this returns."""
    try:
        descriptor = os.open(entry.file, _OPEN)
    except OSError as error:
        raise unreadable(entry.origin, entry.file, error) from error
    slow = False
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise unreadable(entry.origin, entry.file, "it is no longer a file")
        mode = resolved_mode(entry.mode, info.st_mode)
        header = tar_header(entry.name, FILE, mode, entry.uid, entry.gid, info.st_size, mtime)
        # Most files are small and fit in the block that is being filled: no generator, no loop.
        slow = not filler.take(header, descriptor, info.st_size)
        if not slow:
            _check_unchanged(descriptor, info, entry)
            return ()
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
        raise unreadable(entry.origin, entry.file, "it changed while it was read")


class _Filler:
    """Fills blocks in place: a file's bytes are read where they will lie, and padding is a new block's own zeros."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._offset = 0
        self._begin()

    def _begin(self) -> None:
        self._block = memoryview(bytearray(self._size))
        self._position = 0
        self._starts: list[tuple[int, Entry]] = []

    def _full(self) -> Block:
        block = Block(self._block, tuple(self._starts))
        self._offset += self._size
        self._begin()
        return block

    def start(self, entry: Entry) -> None:
        self._starts.append((self._offset + self._position, entry))

    def take(self, header: bytes, descriptor: int, n: int) -> bool:
        """Puts a file of `n` bytes, padding included, if it leaves the block unfilled and one read brings it."""
        begin = self._position + len(header)
        end = begin + n
        if end + 512 > self._size:
            return False
        if n and os.readv(descriptor, [self._block[begin:end]]) != n:
            # Cut short, by a signal or because the file is: the slow way tells. What was read is read over again.
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
            room = min(n, self._size - self._position)
            try:
                got = os.readv(descriptor, [self._block[self._position : self._position + room]])
            except OSError as error:
                raise unreadable(entry.origin, entry.file, error) from error
            if not got:
                raise unreadable(entry.origin, entry.file, "it shrank while it was read")
            self._position += got
            n -= got
            if self._position == self._size:
                yield self._full()

    def rest(self) -> Block | None:
        return Block(self._block[: self._position], tuple(self._starts)) if self._position else None
