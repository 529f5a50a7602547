"""Files and folders that get their name when they are whole; and what killed processes left of theirs."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from dockless.errors import LayoutError

_PREFIX = ".dockless-part-"


def refused(error: OSError) -> str:
    """Why the file system refuses to write a path."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return "a file stands where a folder must be"
    return error.strerror or str(error)


@contextmanager
def atomic_file(path: str) -> Iterator[BinaryIO]:
    """A new file that gets the name `path`, in place of what has it, when the body ends well; else nothing is left.

    Raises LayoutError for what the file system refuses.
    """
    try:
        if os.path.islink(path):
            # What it leads to is meant, as it is by cp and tar.
            path = os.path.realpath(path)
        if os.path.isdir(path):
            raise LayoutError(f"cannot write {path}", cause="it is a folder", hint="choose another path")
        if os.path.exists(path) and not os.path.isfile(path):
            # A device or a FIFO would be replaced for all who use it.
            raise LayoutError(f"cannot write {path}", cause="it is no plain file", hint="choose another path")
        folder = os.path.dirname(os.path.abspath(path))
        os.makedirs(folder, exist_ok=True)
        sweep(folder)
        with _new(folder, _make_file) as (staged, descriptor):
            with os.fdopen(descriptor, "w+b", closefd=False) as file:
                yield file
            os.replace(staged, path)
    except OSError as error:
        raise LayoutError(f"cannot write {path}", cause=refused(error)) from error


@contextmanager
def temporary_directory(parent: str) -> Iterator[str]:
    """The path of a new folder in `parent`, which only we can read. At the end it is gone, if it still has that name.

    Raises OSError.
    """
    sweep(parent)
    with _new(parent, _make_folder) as (staged, _):
        yield staged


def sweep(folder: str) -> None:
    """Removes what writers of this machine that are no more left in `folder`: who is alive holds a lock on its own.

    Not what other machines left, in a folder of the network: a folder's lock may be known to one machine alone (Linux'
    nfs and cifs).
    """
    mine = _prefix()
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for left in [entry.path for entry in entries if entry.name.startswith(mine)]:
            with contextlib.suppress(OSError):
                descriptor = os.open(left, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(left)
                finally:
                    os.close(descriptor)


def _make_file(path: str) -> int:
    # Not of tempfile, whose files nobody else can read.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _make_folder(path: str) -> int:
    os.mkdir(path, 0o700)
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def _new(folder: str, make: Callable[[str], int]) -> Iterator[tuple[str, int]]:
    """A path that nobody had, and a descriptor of it, locked as long as we live."""
    name = os.urandom(8).hex()
    path, unlocked = os.path.join(folder, _prefix() + name), os.path.join(folder, f".dockless-{name}")
    descriptor = make(unlocked)
    try:
        # Not every file system has locks: there nobody sweeps, as nobody gets one.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Only now: what has this name and no lock is swept.
        os.rename(unlocked, path)
        yield path, descriptor
    finally:
        _remove(unlocked)
        _remove(path)
        os.close(descriptor)


def _prefix() -> str:
    """Of this machine since its start; of a container, which may have a lock's view of its own, in most cases."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read()
    except OSError:
        boot = ""
    return f"{_PREFIX}{hashlib.sha256(f'{socket.gethostname()} {boot}'.encode()).hexdigest()[:16]}-"


def _remove(path: str) -> None:
    """Whatever it is; where it is no more, all is well."""
    with contextlib.suppress(OSError):
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
