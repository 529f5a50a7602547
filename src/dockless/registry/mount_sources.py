"""Repositories from which a blob can be mounted, and the order of concurrent uploads of one blob."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from dockless._concurrency import KeyedLocks
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.blob_locations import MIN_SIZE, BlobLocations

# A refused mount costs two requests: one for the mount, and one to cancel the upload session that the registry opened.
_MAX_CANDIDATES = 4


class MountSources:
    """Repositories of one registry that have a blob, according to this process and to earlier pushes. Thread-safe.

    registry_url  returns the URL of the registry
    """

    def __init__(self, locations: BlobLocations, registry_url: Callable[[], str]) -> None:
        self._locations = locations
        self._registry_url = registry_url
        self._lock = threading.Lock()
        self._known: dict[Digest, dict[str, None]] = {}
        self._uploads: KeyedLocks[Digest] = KeyedLocks()

    def upload(self, digest: Digest, check: Callable[[], None]) -> AbstractContextManager[None]:
        """Return a context in which no other thread uploads the blob. `check` is called while waiting, and may raise.

        Of concurrent uploads of one blob into several repositories, the first one sends it, and the others mount it.
        """
        return self._uploads.hold(digest, check)

    def find(self, digest: Digest, repository: str, more: Collection[str] = ()) -> list[str]:
        """Return some repositories that may have a blob, the most certain first. `more` is what the caller knows."""
        with self._lock:
            known = list(self._known.get(digest, ()))
        names = dict.fromkeys((*known, *more, *self._locations.repositories(self._registry_url(), digest)))
        return [name for name in names if name != repository][:_MAX_CANDIDATES]

    def add(self, blob: Descriptor, repository: str) -> None:
        """Record that a repository has a blob. Call this before the end of `upload`, for threads that wait."""
        with self._lock:
            self._known.setdefault(blob.digest, {})[repository] = None
        if blob.size >= MIN_SIZE:
            self._locations.add(self._registry_url(), blob.digest, repository)

    def remove(self, digest: Digest, repository: str) -> None:
        """Record that this process deleted a blob."""
        with self._lock:
            self._known.get(digest, {}).pop(repository, None)
