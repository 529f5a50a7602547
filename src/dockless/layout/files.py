"""Named files, in a folder or in a tar: what an image on disk is read from."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO, Protocol

from dockless.errors import LayoutError


class Files(Protocol):
    """`where` is what errors call the whole. Names are relative, with `/`."""

    where: str

    def open(self, name: str) -> BinaryIO:
        """The file's bytes; the caller closes it. Raises LayoutError when it is absent or is no plain file."""
        ...

    def size(self, name: str) -> int | None:
        """The file's size in bytes; None when it is absent or is no plain file."""
        ...


class FolderFiles:
    """The files of a folder. Links are not followed: one could name any file of the machine."""

    def __init__(self, folder: str) -> None:
        self.where = folder

    def open(self, name: str) -> BinaryIO:
        path = os.path.join(self.where, name)
        try:
            # Without O_NONBLOCK, opening a FIFO waits for ever.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            cause = "it is a symlink" if error.errno == errno.ELOOP else error.strerror or str(error)
            raise LayoutError(f"cannot read {path}", cause=cause, hint="check the path") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise LayoutError(f"cannot read {path}", cause="it is no plain file")
        # Opened by its name, which it then has for errors.
        return open(path, "rb", opener=lambda *_: descriptor)

    def size(self, name: str) -> int | None:
        try:
            found = os.lstat(os.path.join(self.where, name))
        except OSError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None


def read_small(files: Files, name: str, limit: int) -> bytes:
    """All of a file that is a document. Raises LayoutError when it is absent or larger than `limit` bytes."""
    with files.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise LayoutError(f"{files.where}: {name} is larger than {limit} bytes", cause="it is no such document")
    return data
