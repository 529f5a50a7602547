"""Opening of regular files. A path may name a FIFO, a socket or a device, on which a read blocks or has no end."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

NOT_REGULAR = "it is not a regular file"


def size_of_holes(file: BinaryIO, limit: int) -> int:
    """Return the number of bytes of a sparse file that are not stored, counted until there are more than `limit`.

    It is 0 where the system or the file system cannot tell.
    """
    descriptor, size = file.fileno(), os.fstat(file.fileno()).st_size
    holes = end = 0
    try:
        while end < size and holes <= limit:
            hole = os.lseek(descriptor, end, os.SEEK_HOLE)
            if hole >= size:
                break
            try:
                end = os.lseek(descriptor, hole, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                # No data follows.
                end = size
            holes += end - hole
    except (AttributeError, OSError):
        return 0
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return holes


def open_regular(path: str | bytes, *, follow_symlinks: bool = True) -> BinaryIO:
    """Open a regular file for reading, without waiting. Raises OSError, also for a path that is anything else.

    It is also raised for a value that cannot be the path of a file, such as one with a NUL byte.
    """
    # Without O_NONBLOCK, opening a FIFO blocks until there is a writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_symlinks else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except (TypeError, ValueError) as error:
        raise OSError(errno.EINVAL, f"it is not a path: {error}") from None
    except OSError as error:
        if error.errno == errno.ENXIO:
            # A socket, or a device without a driver.
            raise OSError(errno.EINVAL, NOT_REGULAR, path) from None
        raise
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise OSError(errno.EINVAL, NOT_REGULAR, path)
    # Opened with its path, so that errors can name the file.
    return open(path, "rb", opener=lambda *_: descriptor)
