"""Where blobs are had from: the seam between what holds an image (layout, archive, registry) and what sends it on."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from dockless.descriptor import Descriptor


class ContentSource(Protocol):
    """Something that holds manifests, configs and layers by digest."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's bytes, from their start; the caller closes it.

        What is read is not yet verified: whoever gives bytes a final name or place compares size and digest. Raises
        LayoutError or RegistryError when the blob is not there.
        """
        ...
