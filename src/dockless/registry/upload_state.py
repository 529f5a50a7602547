"""Upload sessions that outlive the process: where a push that was killed may go on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping

from dockless.oci.canonical_json import load_json
from dockless.oci.digest import Digest

# Registries throw sessions away after hours to a week; ECR after a day.
_OLDEST = 24 * 3600.0
# What is smaller is sent anew in less time than it takes to ask.
SMALLEST = 1 << 20


class UploadState:
    """Locations of open sessions, a file each, under the user's cache folder: XDG_CACHE_HOME or ~/.cache.

    A Location may be all that is needed to write to the session: the folder and the files are the user's alone. Where
    nothing can be written, nothing is kept.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        cache = environ.get("XDG_CACHE_HOME") or (
            os.path.join(environ["HOME"], ".cache") if environ.get("HOME") else ""
        )
        self._folder = os.path.join(cache, "dockless", "uploads") if os.path.isabs(cache) else ""
        self._pruned = False

    def take(self, registry_url: str, repository: str, digest: Digest) -> str:
        """The Location of the session that was left, or empty. It is taken: of two pushes, one gets it."""
        path = self._path(registry_url, repository, digest)
        if not path:
            return ""
        mine = f"{path}.{os.getpid()}"
        try:
            # Whoever renames it has it.
            os.rename(path, mine)
            # A cache may be shared: what another user planted there would have us send layers to a place of his.
            with open(os.open(mine, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), encoding="utf-8") as file:
                status = os.fstat(file.fileno())
                if status.st_uid != os.geteuid() or not stat.S_ISREG(status.st_mode) or status.st_mode & 0o022:
                    return ""
                found = load_json(file.read())
            age = time.time() - status.st_mtime
            os.unlink(mine)
        except (OSError, ValueError):
            return ""
        location = found.get("location") if isinstance(found, dict) else None
        return location if isinstance(location, str) and 0 <= age < _OLDEST else ""

    def keep(self, registry_url: str, repository: str, digest: Digest, location: str) -> None:
        """Notes where the session is now."""
        path = self._path(registry_url, repository, digest)
        if not path:
            return
        import tempfile

        with contextlib.suppress(OSError):
            if not os.path.isdir(self._folder):
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._prune()
            handle, part = tempfile.mkstemp(dir=self._folder)
            with open(handle, "w", encoding="utf-8") as file:
                json.dump({"location": location}, file)
            os.rename(part, path)

    def drop(self, registry_url: str, repository: str, digest: Digest) -> None:
        """The session has ended."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(registry_url, repository, digest))

    def _prune(self) -> None:
        """Once a process: what nobody came back for."""
        if self._pruned:
            return
        self._pruned = True
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if time.time() - entry.stat().st_mtime > _OLDEST:
                    os.unlink(entry.path)

    def _path(self, registry_url: str, repository: str, digest: Digest) -> str:
        if not self._folder:
            return ""
        name = hashlib.sha256(f"{registry_url}/{repository}@{digest}".encode()).hexdigest()
        return os.path.join(self._folder, name)
