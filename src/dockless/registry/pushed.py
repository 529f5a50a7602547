"""What came of a push."""

from __future__ import annotations

from typing import NamedTuple

from dockless.oci.digest import Digest


class Pushed(NamedTuple):
    """What a push did. `references` are all that name the image now; bytes are those of blobs, over the wire."""

    digest: Digest
    references: tuple[str, ...]
    blobs_sent: int = 0
    bytes_sent: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0
