"""Repositories that have a blob according to earlier pushes of this user: sources of mounts for the next push."""

from __future__ import annotations

from collections.abc import Mapping

from dockless.errors import InvalidValueError
from dockless.oci.digest import Digest
from dockless.oci.reference import check_repository
from dockless.registry.user_cache import UserCache

# Seconds. A registry may delete a blob at any time: an entry saves an upload, or costs one refused mount.
MAX_AGE = 30 * 24 * 3600.0
# Bytes. A smaller blob is sent in the time of the mount request.
MIN_SIZE = 64 * 1024
# Each further repository may cost one more refused mount.
_MAX_REPOSITORIES = 2


class BlobLocations:
    """The last repositories of each registry that a blob was pushed to, in the user's cache. Entries may be wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._cache = UserCache(environ, "blobs", MAX_AGE)

    def repositories(self, registry_url: str, digest: Digest) -> tuple[str, ...]:
        """Return repositories that may have the blob, the last one first."""
        document = self._cache.get(_key(registry_url, digest))
        names = document.get("repositories") if isinstance(document, dict) else None
        if not isinstance(names, list):
            return ()
        try:
            return tuple(check_repository(str(name)) for name in names[:_MAX_REPOSITORIES])
        except InvalidValueError:
            return ()

    def add(self, registry_url: str, digest: Digest, repository: str) -> None:
        """Record that a repository has the blob."""
        known = self.repositories(registry_url, digest)
        if repository not in known:
            names = (repository, *known)[:_MAX_REPOSITORIES]
            self._cache.put(_key(registry_url, digest), {"repositories": names})


def _key(registry_url: str, digest: Digest) -> str:
    return f"{registry_url}@{digest}"
