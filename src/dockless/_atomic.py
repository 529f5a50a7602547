"""Paths to write to, atomic creation of files and directories, and cleanup of temporaries left by killed processes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from dockless.errors import LayoutError

_PREFIX = ".dockless-part-"
# Seconds. Locks are held while an index is written, or a layout of some gigabytes is completed.
LOCK_TIMEOUT = 60.0
_LOCK_PAUSE = 0.05
# As Linux.
_MAX_LINKS = 40
_SHARED = stat.S_ISVTX | stat.S_IWOTH


def reason_of(error: OSError) -> str:
    """Return why the file system cannot write a path."""
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return "a file is in the place of a directory"
    return error.strerror or str(error)


def resolve_output(path: str) -> str:
    """Return a path to write to with its symlinks resolved, or `path` itself if it has none. It need not exist.

    In a sticky directory that every user can write to, such as /tmp, a symlink of another user is refused unless it
    belongs to the owner of the directory, at any place in the path. Linux has this rule too (the sysctl
    fs.protected_symlinks), but only for programs that let the kernel follow the last symlink of a path. Raises
    LayoutError and OSError.
    """
    resolved, count = "/", 0
    # The working directory may have been deleted.
    pending = (path if os.path.isabs(path) else os.path.join(os.getcwd(), path)).split("/")[::-1]
    while pending:
        name = pending.pop()
        if name in ("", "."):
            continue
        if name == "..":
            resolved = os.path.dirname(resolved)
            continue
        entry = os.path.join(resolved, name)
        if not os.path.islink(entry):
            resolved = entry
            continue
        if _is_of_other_user(os.lstat(entry), os.stat(resolved)):
            raise LayoutError(
                f"cannot write {path}",
                cause=f"{entry} is a symlink of another user, in a directory that every user can write to",
                hint="choose another path",
            )
        count += 1
        if count > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        target = os.readlink(entry)
        resolved = "/" if target.startswith("/") else resolved
        pending += target.split("/")[::-1]
    return resolved if count else path


def _is_of_other_user(link: os.stat_result, directory: os.stat_result) -> bool:
    return directory.st_mode & _SHARED == _SHARED and link.st_uid not in (os.geteuid(), directory.st_uid)


def make_directories(path: str) -> None:
    """Create the directory `path` and the missing directories above it. Raises OSError.

    os.makedirs is recursive, and a path may have two thousand components.
    """
    missing = []
    while path and not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        try:
            os.mkdir(directory)
        except FileExistsError:
            # Another process may have created the directory.
            if not os.path.isdir(directory):
                raise


@contextmanager
def atomic_file(path: str) -> Iterator[BinaryIO]:
    """Yield a new file that replaces `path` when the body ends without an error. After an error nothing is left.

    Raises LayoutError for errors of the file system.
    """
    try:
        # The target of a symlink is replaced, as by cp and tar.
        path = resolve_output(path)
        if os.path.isdir(path):
            raise LayoutError(f"cannot write {path}", cause="it is a directory", hint="choose another path")
        if os.path.exists(path) and not os.path.isfile(path):
            # A device or a FIFO would be replaced for every user of it.
            raise LayoutError(f"cannot write {path}", cause="it is not a regular file", hint="choose another path")
        directory = os.path.dirname(os.path.abspath(path))
        make_directories(directory)
        remove_stale(directory)
        with _new(directory, _make_file) as (staged, descriptor):
            with os.fdopen(descriptor, "w+b", closefd=False) as file:
                yield file
            os.replace(staged, path)
    except OSError as error:
        raise LayoutError(f"cannot write {path}", cause=reason_of(error)) from error


@contextmanager
def temporary_directory(parent: str) -> Iterator[tuple[str, int]]:
    """Yield the path of a new directory in `parent` with mode 0700, and its descriptor.

    The directory is removed at the end unless it was renamed. If `parent` belongs to another user, that user can put
    something else in the place of the directory at any time: files are created in the descriptor, with `create_file`.
    Raises OSError.
    """
    remove_stale(parent)
    with _new(parent, _make_directory) as found:
        yield found


def create_file(name: str, directory: int) -> BinaryIO:
    """Create a file in the directory with the descriptor `directory`. Raises OSError, also if there is such a file.

    No symlink is followed, whoever else can write to the directory.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return open(name, "wb", opener=lambda *_: os.open(name, flags, 0o666, dir_fd=directory))


def open_directory(name: str, directory: int | None = None) -> int:
    """Return a descriptor of the directory `name`, which is relative to `directory`. Raises OSError for a symlink."""
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)


def open_to_lock(path: str, directory: int | None = None) -> int:
    """Return a descriptor of a file or directory, relative to `directory`, for `lock`. Raises OSError for a symlink.

    NFS and CIFS on Linux lock files for all machines, if the files are open for writing (flock(2)).
    """
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDWR | flags, dir_fd=directory)
    except OSError:
        return os.open(path, os.O_RDONLY | flags, dir_fd=directory)


def lock(descriptor: int, path: str) -> None:
    """Take the exclusive lock of an open file or directory.

    Raises LayoutError if another process holds the lock for a minute, and OSError if the file system has no locks.
    """
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LayoutError(
                    f"cannot lock {path}",
                    cause=f"another process has held its lock for {LOCK_TIMEOUT:.0f} seconds",
                    hint="find the process with `lsof`, or choose another path",
                ) from None
            time.sleep(_LOCK_PAUSE)


def remove_stale(directory: str) -> None:
    """Remove temporaries of ended processes of this machine from `directory`: a running process holds a lock.

    Temporaries of other machines in a network directory stay: locks on directories may be local to one machine (nfs and
    cifs on Linux).
    """
    prefix = _prefix()
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for left in [entry.path for entry in entries if entry.name.startswith(prefix)]:
            with contextlib.suppress(OSError):
                descriptor = open_to_lock(left)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    _remove(left)
                finally:
                    os.close(descriptor)


def _make_file(path: str) -> int:
    # tempfile would create the file with mode 0600.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)


def _make_directory(path: str) -> int:
    os.mkdir(path, 0o700)
    return open_directory(path)


@contextmanager
def _new(directory: str, make: Callable[[str], int]) -> Iterator[tuple[str, int]]:
    """Yield a new path and its descriptor, which stays locked until the process ends or the body does."""
    name = os.urandom(8).hex()
    path, unlocked = os.path.join(directory, _prefix() + name), os.path.join(directory, f".dockless-{name}")
    descriptor = make(unlocked)
    try:
        # A file system without locks: no process gets a lock, so none removes stale files either.
        with contextlib.suppress(OSError):
            lock(descriptor, unlocked)
        # After the lock: a file with this name and no lock counts as stale.
        os.rename(unlocked, path)
        yield path, descriptor
    finally:
        _remove(unlocked)
        _remove(path)
        os.close(descriptor)


def _prefix() -> str:
    """Return a prefix for this machine since its last start, and in most cases for one container."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read()
    except OSError:
        boot = ""
    return f"{_PREFIX}{hashlib.sha256(f'{os.uname().nodename} {boot}'.encode()).hexdigest()[:16]}-"


def _remove(path: str) -> None:
    """Remove a file or directory; a missing one is no error."""
    # A directory that another user made may be deeper than Python's stack.
    with contextlib.suppress(OSError, RecursionError):
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            os.unlink(path)
