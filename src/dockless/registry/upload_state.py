"""Locations of upload sessions, kept for the next process: a push that was killed can continue its uploads."""

from __future__ import annotations

from collections.abc import Mapping

from dockless.oci.digest import Digest
from dockless.registry.user_cache import UserCache

# Seconds. Registries delete sessions after hours to a week; ECR after a day.
MAX_AGE = 24 * 3600.0
# Bytes. Sending a smaller blob takes less time than asking how much of it arrived.
MIN_SIZE = 1 << 20


class UploadState:
    """Locations of open sessions in the user's cache. A location is a secret: it may permit writing to its session."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._cache = UserCache(environ, "uploads", MAX_AGE)

    def take(self, registry_url: str, repository: str, digest: Digest) -> str:
        """Return and remove the location that is kept for a blob, or an empty string.

        Of two concurrent pushes, one gets the session.
        """
        document = self._cache.take(_key(registry_url, repository, digest))
        location = document.get("location") if isinstance(document, dict) else None
        return location if isinstance(location, str) else ""

    def keep(self, registry_url: str, repository: str, digest: Digest, location: str) -> None:
        """Keep the location of a blob's session."""
        self._cache.put(_key(registry_url, repository, digest), {"location": location})

    def drop(self, registry_url: str, repository: str, digest: Digest) -> None:
        """Remove the location of a session that has ended."""
        self._cache.remove(_key(registry_url, repository, digest))


def _key(registry_url: str, repository: str, digest: Digest) -> str:
    return f"{registry_url}/{repository}@{digest}"
