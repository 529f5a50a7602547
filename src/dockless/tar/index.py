"""Random access to the files of a tar archive. Nothing is extracted."""

from __future__ import annotations

import io
import os
import posixpath
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from dockless._files import open_regular
from dockless._units import format_count
from dockless.errors import LayoutError
from dockless.tar.decompress import decompress, detect_format, is_bomb
from dockless.tar.reader import GLOBAL, Member, read_members
from dockless.tar.sparse import SparseMap

# An archive of an image has some dozens of members; an index of millions would fill the memory.
_MAX_MEMBERS = 200_000
# Bytes of all names and link targets.
_MAX_NAMES = 32 * 1024 * 1024
# Parts of all sparse files, which take 16 bytes each.
_MAX_EXTENTS = 1_000_000
# Linux follows 40 symlinks in a path.
_MAX_LINKS = 40
_CHUNK = 1 << 20
_LINKS = frozenset((b"1", b"2"))


class TarFiles:
    """The files of a tar archive, indexed when the archive is opened. A context manager, which closes the archive.

    A compressed archive (`docker save | gzip`) is decompressed to an unnamed file first: gzip, bzip2, xz or zstd, which
    `docker load` reads. Links to other members, as `docker save` writes them, are followed, also those of directories.
    A file may occur twice if the content is the same: Docker reads the last one, podman the first one. Raises
    LayoutError for a file that is missing, damaged, not a tar archive or a decompression bomb.
    """

    def __init__(self, path: str) -> None:
        self.where = path
        try:
            self._file: BinaryIO = open_regular(path)
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
            self._members, self._others = self._index()
            # The members to which links lead.
            self._targets: dict[str, str] = {}
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

    @property
    def total_size(self) -> int:
        """The size of the archive in bytes, decompressed."""
        return self._size

    def close(self) -> None:
        """Close the archive."""
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of all members."""
        return iter(self._members)

    def open(self, name: str) -> BinaryIO:
        """Open the content of a member. Raises LayoutError."""
        member = self._find(name)
        descriptor, offset, sparse_map = self._file.fileno(), member.offset, member.sparse_map
        if sparse_map is not None:
            return io.BufferedReader(_SparsePart(descriptor, offset, sparse_map, self.where), 1 << 16)
        return io.BufferedReader(Part(descriptor, offset, member.size, self.where), 1 << 16)

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if there is no such file.

        Raises LayoutError for a file that occurs twice with different contents, and a loop of links.
        """
        member = self._members.get(self.resolved(name))
        if member is None or member.is_directory:
            return None
        member = self._find(name)
        return member.size if member.sparse_map is None else member.sparse_map.size

    def resolved(self, name: str) -> str:
        """Return the name of the member that `name` is or links to. Raises LayoutError for a loop.

        As Docker does, links are followed within the archive: none leads out of it.
        """
        return self._walk("", _normalized(name).split("/"), name, 0)

    def _walk(self, found: str, parts: Iterable[str], name: str, links: int) -> str:
        """Return the path to which `parts` lead from `found`, on the way to `name`, after a number of links."""
        for part in parts:
            if part == "..":
                found = posixpath.dirname(found)
                continue
            found = f"{found}/{part}" if found else part
            member = self._members.get(found)
            if member is not None and member.kind in _LINKS:
                # Thousands of names may have the same long links on their way.
                if found not in self._targets:
                    self._targets[found] = self._target(member, found, name, links + 1)
                found = self._targets[found]
        return found

    def _target(self, member: Member, path: str, name: str, links: int) -> str:
        if links > _MAX_LINKS:
            raise LayoutError(f"{self.where}: {name} is a link that leads to itself")
        self._check_same(path)
        link = os.fsdecode(member.link)
        # The target of a hard link is relative to the root, that of a symlink to the link's directory.
        begin = "" if member.kind == b"1" or link.startswith("/") else posixpath.dirname(path)
        return self._walk(begin, (part for part in link.split("/") if part not in ("", ".")), name, links)

    def _find(self, name: str) -> Member:
        path = self.resolved(name)
        member = self._members.get(path)
        if member is None:
            raise LayoutError(f"{self.where} has no file {name}")
        if member.is_sparse and member.sparse_map is None:
            raise LayoutError(
                f"{self.where}: {name} is a sparse file whose map is not that of GNU tar",
                hint="create the archive without sparse files",
            )
        if not member.is_file and not member.is_sparse:
            kind = member.kind.decode("latin-1")
            raise LayoutError(f"{self.where} has no file {name}", cause=f"the member has the tar type {kind!r}")
        self._check_same(path)
        return member

    def _check_same(self, path: str) -> None:
        """Raise LayoutError if a member occurs twice with different contents."""
        member = self._members[path]
        for other in self._others.get(path, ()):
            if (
                member[1:3] != other[1:3]
                or member.size != other.size
                or member.sparse_map != other.sparse_map
                or not self._have_same_content(member, other)
            ):
                # Readers differ in which member they take: the member that is checked may not be the one that is run.
                raise LayoutError(f"{self.where} has {path} twice, with different contents")
        # Each member is compared once.
        self._others.pop(path, None)

    def _have_same_content(self, one: Member, other: Member) -> bool:
        for at in range(0, one.size, _CHUNK):
            size = min(_CHUNK, one.size - at)
            one_data, other_data = (os.pread(self._file.fileno(), size, each.offset + at) for each in (one, other))
            if one_data != other_data:
                return False
        return True

    def _index(self) -> tuple[dict[str, Member], dict[str, list[Member]]]:
        """Return the first member of each name, and the other members with the names of files and links."""
        members: dict[str, Member] = {}
        others: dict[str, list[Member]] = {}
        names = extents = holes = 0
        for count, member in enumerate(read_members(self, self.where, old_maps=True), 1):
            if member.problem:
                raise LayoutError(f"{self.where} is ambiguous", cause=member.problem)
            if member.kind == b"X":
                raise LayoutError(f"{self.where} has an extended tar header of Solaris")
            if member.kind != GLOBAL:
                name = _normalized(os.fsdecode(member.name))
                known = members.setdefault(name, member)
                if known is not member and not (known.is_directory and member.is_directory):
                    others.setdefault(name, []).append(member)
            if member.sparse_map is not None:
                extents += len(member.sparse_map.numbers) // 2
                holes += member.sparse_map.size
            if extents > _MAX_EXTENTS or is_bomb(holes, self._size):
                raise LayoutError(
                    f"{self.where} is a decompression bomb",
                    cause=f"its sparse files have {format_count(holes, 'byte')}, in {format_count(extents, 'part')}",
                )
            names += len(member.name) + len(member.link)
            if names > _MAX_NAMES:
                raise LayoutError(
                    f"{self.where} has more than {_MAX_NAMES} bytes of names", cause="the archive is not an image"
                )
            if count > _MAX_MEMBERS:
                raise LayoutError(
                    f"{self.where} has more than {_MAX_MEMBERS} members", cause="the archive is not an image"
                )
        return members, others

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def skip(self, size: int) -> None:
        if self._file.seek(size, os.SEEK_CUR) > self._size:
            raise LayoutError(
                f"{self.where} is truncated", cause=f"the archive has {self._size} bytes, and a member ends after them"
            )

    def _decompressed(self) -> BinaryIO:
        import tempfile

        plain = tempfile.TemporaryFile(prefix="dockless-")  # noqa: SIM115
        try:
            for piece in decompress(self._file, self.where, archive=True):
                plain.write(piece)
            plain.flush()
            plain.seek(0)
        except BaseException:
            plain.close()
            raise
        self._file.close()
        return plain


def _normalized(name: str) -> str:
    """Return `name` without `./`, double slashes and a trailing slash.

    A name that leaves the archive matches no request.
    """
    return posixpath.normpath(name.lstrip("/")) if name else ""


class Part(io.RawIOBase):
    """A part of an open file with its own position, so that several threads can read parts of one file.

    `name` is the name of the whole file, for errors.
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
        length = min(len(view), max(0, self._size - self._at))
        count = os.preadv(self._descriptor, [view[:length]], self._offset + self._at)
        self._at += count
        return count


class _SparsePart(Part):
    """The content of a sparse file whose map and stored bytes begin at `offset`. Holes are zeros."""

    def __init__(self, descriptor: int, offset: int, sparse_map: SparseMap, name: str) -> None:
        super().__init__(descriptor, offset, sparse_map.size, name)
        self._begins = sparse_map.numbers[::2]
        self._lengths = sparse_map.numbers[1::2]
        # Where each extent is in the archive.
        self._stored = array("Q")
        position = offset + sparse_map.taken
        for length in self._lengths:
            self._stored.append(position)
            position += length

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = min(len(view), max(0, self._size - self._at))
        n = bisect_right(self._begins, self._at) - 1
        left = self._begins[n] + self._lengths[n] - self._at if n >= 0 else 0
        if left > 0:
            position = self._stored[n] + self._at - self._begins[n]
            count = os.preadv(self._descriptor, [view[: min(wanted, left)]], position)
        else:
            following = self._begins[n + 1] if n + 1 < len(self._begins) else self._size
            count = min(wanted, max(0, following - self._at))
            view[:count] = bytes(count)
        self._at += count
        return count
