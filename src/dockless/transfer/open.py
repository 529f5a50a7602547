"""Opens what an image is read from."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from dockless.blobs import BlobSource
from dockless.errors import InvalidDocumentError
from dockless.layout.blob_copy import copy_blob
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.layout.oci_layout import OciLayout
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Index, Manifest, parse_manifest
from dockless.oci.platform import DEFAULT_PLATFORM, Platform
from dockless.transfer.locations import DOCKER_ARCHIVE, OCI, Location
from dockless.transfer.registry_access import Access

if TYPE_CHECKING:
    from dockless.registry.blob_reader import RegistryBlobSource


class Source(NamedTuple):
    """An image that is open: its root, and where its blobs are had from. `where` is what errors call it."""

    where: Location
    root: Manifest | Index
    content: BlobSource


@contextmanager
def open_content(where: Location, access: Access) -> Iterator[RegistryBlobSource | DockerArchive | OciLayout]:
    """What holds the blobs of the image at `where`, until the body ends; of an archive or layout, it is opened."""
    if where.reference is not None:
        from dockless.registry.blob_reader import RegistryBlobSource

        with access:
            yield RegistryBlobSource(access.client(where.reference), where.reference.repository)
        return
    content = (
        DockerArchive(where.path)
        if where.kind == DOCKER_ARCHIVE
        else OciLayout(where.path)
        if where.kind == OCI
        else OciLayout.in_archive(where.path)
    )
    try:
        if isinstance(content, DockerArchive):
            # Which of its files is which blob is known when the image was read.
            content.image(where.name)
        yield content
    finally:
        content.close()


@contextmanager
def open_source(where: Location, access: Access) -> Iterator[Source]:
    """The image at `where`, until the body ends. Raises LayoutError, RegistryError, InvalidDocumentError."""
    with open_content(where, access) as content:
        root: Manifest | Index
        if isinstance(content, DockerArchive):
            root = content.image(where.name).manifest
        elif isinstance(content, OciLayout):
            root = content.manifest(content.root(where.name))
        else:
            reference = where.registry_reference
            found = access.client(reference).get_manifest(reference.repository, reference.version)
            root = found.parse(str(where))
        yield Source(where, root, content)


def choose(source: Source, platform: Platform | None) -> Manifest:
    """The image for `platform` (None: the only one, else linux/amd64). Raises InvalidDocumentError, listing them."""
    root = source.root
    if isinstance(root, Manifest):
        if platform is not None:
            found = read_documents(root, source.content, str(source.where)).platform
            if not found.matches(platform):
                raise InvalidDocumentError(f"{source.where} has no image for {platform}", cause=f"it is for {found}")
        return root
    images = [child for child in root.manifests if child.platform is None or child.platform.os != "unknown"]
    if platform is None and len(images) == 1:
        child = images[0]
    else:
        child = root.select(platform or DEFAULT_PLATFORM, str(source.where))
    what = f"{source.where} ({child.digest})"
    raw = _small(source.content, child, what)
    found_below = parse_manifest(raw, what, media_type=child.media_type)
    if isinstance(found_below, Index):
        raise InvalidDocumentError(
            f"{source.where} lists an index for {platform or DEFAULT_PLATFORM}", cause="an index of indexes is no image"
        )
    return found_below


def read_documents(manifest: Manifest, content: BlobSource, what: str) -> ImageDocuments:
    """The manifest with its config, read and verified. Raises InvalidDocumentError."""
    return ImageDocuments.read(manifest, _small(content, manifest.config, f"the config of {what}"), what)


def _small(content: BlobSource, descriptor: Descriptor, what: str) -> bytes:
    if descriptor.size > DEFAULT_LIMIT:
        raise InvalidDocumentError(f"{what} has {descriptor.size} bytes", cause=f"more than {DEFAULT_LIMIT}")
    data = io.BytesIO()
    copy_blob(content, descriptor, data)
    return data.getvalue()
