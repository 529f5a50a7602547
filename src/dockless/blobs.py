"""Where blobs are had from: the seam between what holds an image (layout, archive, registry) and what sends it on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, NamedTuple, Protocol

from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest


class ContentSource(Protocol):
    """Something that holds manifests, configs and layers by digest."""

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's bytes, from their start; the caller closes it.

        What is read is not yet verified: whoever gives bytes a final name or place compares size and digest. Raises
        LayoutError or RegistryError when the blob is not there.
        """
        ...


def write_anew(file: BinaryIO) -> str:
    """What to do about a blob whose bytes are wrong: a file on disk is named, of a stream nothing is known."""
    name = getattr(file, "name", None)
    return f"write {name} anew" if isinstance(name, str) else ""


class RoutedContent(NamedTuple):
    """Several sources as one: each of some blobs from its own, the others from `default`. A ContentSource."""

    default: ContentSource
    routes: Mapping[Digest, ContentSource]

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's bytes, from where it is."""
        return self.routes.get(descriptor.digest, self.default).open(descriptor)
