"""The files inside a tar, read where they lie: nothing is unpacked."""

from __future__ import annotations

import io
import os
import posixpath
from collections.abc import Iterator
from typing import BinaryIO

from dockless.errors import LayoutError
from dockless.tar.decompress import decoded, detect_format
from dockless.tar.reader import Member, read_members

# An image has some dozens of files; a tar of millions is no image, and would fill the memory.
_MAX_MEMBERS = 200_000
_MAX_LINKS = 8
_LINKS = frozenset((b"1", b"2"))


class TarFiles:
    """The files of a tar, found by their headers when it is opened. A context manager, which closes the file.

    A tar that is compressed as a whole (`docker save | gzip`) is decompressed to an unnamed file first. Links to other
    members are followed, as `docker save` writes them. Raises LayoutError: no such file, no tar, damage, a bomb.
    """

    def __init__(self, path: str) -> None:
        self.where = path
        try:
            self._file: BinaryIO = open(path, "rb")  # noqa: SIM115
        except OSError as error:
            raise LayoutError(
                f"cannot read {path}", cause=error.strerror or str(error), hint="check the path"
            ) from error
        try:
            head = self._file.read(512)
            self._file.seek(0)
            if detect_format(head) != "none":
                self._file = self._decompressed()
            self._size = os.fstat(self._file.fileno()).st_size
            self._members, self._twice = self._index()
        except OSError as error:
            self._file.close()
            raise LayoutError(f"cannot read {path}", cause=error.strerror or str(error)) from error
        except LayoutError:
            self._file.close()
            raise

    def __enter__(self) -> TarFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        """The names of all members."""
        return iter(self._members)

    def open(self, name: str) -> BinaryIO:
        member = self._find(name)
        return io.BufferedReader(Part(self._file.fileno(), member.offset, member.size, self.where), 1 << 16)

    def size(self, name: str) -> int | None:
        try:
            return self._find(name).size
        except LayoutError:
            return None

    def resolved(self, name: str) -> str:
        """The name of the file that `name` is or links to."""
        for _ in range(_MAX_LINKS):
            member = self._members.get(name)
            if member is None or member.kind not in _LINKS:
                return name
            link = os.fsdecode(member.link)
            # A hard link is named from the tar's root, a symlink from where it stands.
            name = _plain(link if member.kind == b"1" else posixpath.join(posixpath.dirname(name), link))
        raise LayoutError(f"{self.where}: {name} links in a circle")

    def _find(self, name: str) -> Member:
        name = self.resolved(_plain(name))
        member = self._members.get(name)
        if member is None or not member.is_file:
            raise LayoutError(f"{self.where} holds no file {name}")
        if name in self._twice:
            # Readers differ in which they take: what is checked would not be what is run.
            raise LayoutError(f"{self.where} holds {name} twice")
        return member

    def _index(self) -> tuple[dict[str, Member], set[str]]:
        members: dict[str, Member] = {}
        twice = set()
        for member in read_members(self, self.where):
            name = _plain(os.fsdecode(member.name))
            if name in members and member.is_file:
                twice.add(name)
            members[name] = member
            if len(members) > _MAX_MEMBERS:
                raise LayoutError(f"{self.where} holds more than {_MAX_MEMBERS} files", cause="it is no image")
        return members, twice

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def skip(self, size: int) -> None:
        if self._file.seek(size, os.SEEK_CUR) > self._size:
            raise LayoutError(f"{self.where} is cut off", cause=f"it has {self._size} bytes, and a member goes on")

    def _decompressed(self) -> BinaryIO:
        import tempfile

        plain = tempfile.TemporaryFile(prefix="dockless-")  # noqa: SIM115
        try:
            for piece in decoded(self._file, self.where):
                plain.write(piece)
            plain.flush()
            plain.seek(0)
        except BaseException:
            plain.close()
            raise
        self._file.close()
        return plain


def _plain(name: str) -> str:
    """`name` without `./`, doubled slashes and a slash at its end. A name that climbs stays as one that nobody has."""
    return posixpath.normpath(name.lstrip("/")) if name else ""


class Part(io.RawIOBase):
    """A part of an open file, with a position of its own, so that threads may read parts of one file at a time.

    `name` is the whole file's, for errors.
    """

    def __init__(self, descriptor: int, offset: int, size: int, name: str) -> None:
        self.name = name
        self._descriptor = descriptor
        self._offset = offset
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = min(len(view), max(0, self._size - self._at))
        data = os.pread(self._descriptor, wanted, self._offset + self._at)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
