"""Opening of regular files. A path may name a FIFO, a socket or a device, on which a read blocks or has no end."""

from __future__ import annotations

import errno
import os
import stat
from typing import BinaryIO

NOT_REGULAR = "it is not a regular file"


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
