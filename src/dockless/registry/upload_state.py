"""Locations of upload sessions, kept for the next process: a push that was killed can continue its uploads."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Mapping

from dockless._atomic import resolve_output
from dockless.errors import LayoutError
from dockless.oci.canonical_json import load_json
from dockless.oci.digest import Digest

# Seconds. Registries delete sessions after hours to a week; ECR after a day.
MAX_AGE = 24 * 3600.0
# Bytes. Sending a smaller blob takes less time than asking how much of it arrived.
MIN_SIZE = 1 << 20
_TEMPORARY = "tmp-"
_NAME = re.compile(rf"[0-9a-f]{{64}}(\.[0-9]+)?\Z|{_TEMPORARY}")


class UploadState:
    """Locations of open sessions, one file each, in the user's cache directory: XDG_CACHE_HOME or ~/.cache.

    Whoever knows a location may be able to write to its session: the directory and the files are private to the user.
    If the directory cannot be written to, or other users can, nothing is kept.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        home = environ.get("HOME")
        cache = environ.get("XDG_CACHE_HOME") or (os.path.join(home, ".cache") if home else "")
        self._directory = os.path.join(cache, "dockless", "uploads") if os.path.isabs(cache) else ""
        self._pruned = False

    def take(self, registry_url: str, repository: str, digest: Digest) -> str:
        """Return and remove the location that is kept for a blob, or an empty string."""
        path = self._path(registry_url, repository, digest)
        if not path:
            return ""
        taken = f"{path}.{os.getpid()}"
        try:
            # Of two concurrent pushes, the one that renames the file gets the session.
            os.rename(path, taken)
        except OSError:
            return ""
        try:
            return _read_location(taken)
        except (OSError, ValueError):
            return ""
        finally:
            with contextlib.suppress(OSError):
                os.unlink(taken)

    def keep(self, registry_url: str, repository: str, digest: Digest, location: str) -> None:
        """Keep the location of a blob's session."""
        path = self._path(registry_url, repository, digest)
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
                json.dump({"location": location}, file)
            os.rename(temporary, path)

    def drop(self, registry_url: str, repository: str, digest: Digest) -> None:
        """Remove the location of a session that has ended."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(registry_url, repository, digest))

    def _prune(self) -> None:
        """Remove abandoned locations, once per process."""
        if self._pruned:
            return
        self._pruned = True
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if _NAME.match(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > MAX_AGE:
                    os.unlink(entry.path)

    def _path(self, registry_url: str, repository: str, digest: Digest) -> str:
        if not self._directory:
            return ""
        name = hashlib.sha256(f"{registry_url}/{repository}@{digest}".encode()).hexdigest()
        return os.path.join(self._directory, name)


def _is_private(status: os.stat_result) -> bool:
    """Return whether no other user can change a file or directory."""
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _read_location(path: str) -> str:
    """Return the location in a file, or an empty string. Raises OSError and ValueError."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        # The cache may be shared: a file of another user could direct the upload to a server of that user.
        if not _is_private(status) or not stat.S_ISREG(status.st_mode):
            return ""
        document = load_json(file.read())
    location = document.get("location") if isinstance(document, dict) else None
    is_recent = 0 <= time.time() - status.st_mtime < MAX_AGE
    return location if isinstance(location, str) and is_recent else ""
