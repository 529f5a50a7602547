"""Small JSON files in the user's cache directory, by which one process helps the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Mapping
from typing import Any

from dockless._atomic import resolve_output
from dockless.errors import LayoutError
from dockless.oci.canonical_json import load_json

# Bytes. A larger file was not written by this module.
_MAX_SIZE = 64 * 1024
_TEMPORARY = "tmp-"
# The names of the files in the directory: others are not removed.
_NAME = re.compile(rf"[0-9a-f]{{64}}(\.[0-9]+)?\Z|{_TEMPORARY}")


class UserCache:
    """JSON documents by key, one file each, in a directory of XDG_CACHE_HOME or ~/.cache.

    The directory and the files are private to the user. If the directory cannot be written to, or other users can write
    to the directory, nothing is kept.

    name     the name of the directory
    max_age  seconds after which a document is ignored and removed
    """

    def __init__(self, environ: Mapping[str, str], name: str, max_age: float) -> None:
        home = environ.get("HOME")
        cache = environ.get("XDG_CACHE_HOME") or (os.path.join(home, ".cache") if home else "")
        self._directory = os.path.join(cache, "dockless", name) if os.path.isabs(cache) else ""
        self._max_age = max_age
        self._pruned = False

    def get(self, key: str) -> Any:
        """Return the document for `key`, or None."""
        path = self._path(key)
        return self._read(path) if path else None

    def take(self, key: str) -> Any:
        """Return and remove the document for `key`, or return None. Of two concurrent calls, one gets the document."""
        path = self._path(key)
        if not path:
            return None
        taken = f"{path}.{os.getpid()}"
        try:
            os.rename(path, taken)
        except OSError:
            return None
        try:
            return self._read(taken)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(taken)

    def put(self, key: str, document: Any) -> None:
        """Replace the document for `key`."""
        path = self._path(key)
        if not path:
            return
        import tempfile

        with contextlib.suppress(OSError, LayoutError):
            # A cache directory in /tmp, say: a symlink of another user must not lead the writes and removals elsewhere.
            resolve_output(self._directory)
            if not os.path.isdir(self._directory):
                os.makedirs(self._directory, mode=0o700, exist_ok=True)
            if not _is_private(os.stat(self._directory)):
                return
            self._prune()
            handle, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=self._directory)
            with open(handle, "w", encoding="utf-8") as file:
                json.dump(document, file)
            os.rename(temporary, path)

    def remove(self, key: str) -> None:
        """Remove the document for `key`, if there is one."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(key))

    def _read(self, path: str) -> Any:
        """Return the document in a file, or None if the file is missing, invalid, old or not only the user's."""
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8") as file:
                status = os.fstat(file.fileno())
                # The cache may be shared: a file of another user could direct an upload to a server of that user.
                if not _is_private(status) or not stat.S_ISREG(status.st_mode):
                    return None
                if not 0 <= time.time() - status.st_mtime < self._max_age:
                    return None
                return load_json(file.read(_MAX_SIZE))
        except (OSError, ValueError):
            return None

    def _prune(self) -> None:
        """Remove old documents, once per process."""
        if self._pruned:
            return
        self._pruned = True
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if _NAME.match(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > self._max_age:
                    os.unlink(entry.path)

    def _path(self, key: str) -> str:
        return os.path.join(self._directory, hashlib.sha256(key.encode()).hexdigest()) if self._directory else ""


def _is_private(status: os.stat_result) -> bool:
    """Return whether no other user can change a file or directory."""
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022
