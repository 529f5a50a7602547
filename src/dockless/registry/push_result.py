"""The results of pushes and uploads: apart from `pusher`, so that a build to disk imports no HTTP library."""

from __future__ import annotations

from typing import NamedTuple

from dockless.oci.digest import Digest


class PushResult(NamedTuple):
    """The digest of the pushed image, and all references to it.

    The counts are of blobs; `bytes_sent` are their bytes over the network, in all attempts.
    """

    digest: Digest
    references: tuple[str, ...]
    blobs_sent: int = 0
    bytes_sent: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0


class BlobResult(NamedTuple):
    """How a blob came to exist: `present`, `mounted` or `sent`; and the bytes that were sent in all attempts."""

    how: str
    bytes_sent: int
