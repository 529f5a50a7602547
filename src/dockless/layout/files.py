"""Access to named files of a directory or an archive, from which an image on disk is read."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, Protocol

from dockless._files import open_regular
from dockless.errors import LayoutError


class Files(Protocol):
    """Named files. `where` names the directory or archive in errors. Names are relative and use `/`."""

    where: str

    def open(self, name: str) -> BinaryIO:
        """Return the file, which the caller closes. Raises LayoutError if it is missing or not a regular file."""
        ...

    def size(self, name: str) -> int | None:
        """Return the file's size in bytes; None if it is missing or not a regular file."""
        ...


class DirectoryFiles:
    """The files of a directory. Symlinks are not followed: one could lead to any file of the machine."""

    def __init__(self, directory: str) -> None:
        self.where = directory

    def open(self, name: str) -> BinaryIO:
        """Open a regular file. Raises LayoutError."""
        path = os.path.join(self.where, name)
        try:
            return open_regular(path, follow_symlinks=False)
        except OSError as error:
            cause = "it is a symlink" if error.errno == errno.ELOOP else error.strerror or str(error)
            raise LayoutError(f"cannot read {path}", cause=cause, hint="check the path") from error

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if there is no such regular file."""
        try:
            found = os.lstat(os.path.join(self.where, name))
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_small(files: Files, name: str, limit: int) -> bytes:
    """Return the content of a small file. Raises LayoutError if it is missing or larger than `limit` bytes."""
    with files.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise LayoutError(f"{files.where}: {name} is larger than {limit} bytes")
    return data
