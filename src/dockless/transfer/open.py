"""Opens an image at a location."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dockless.blobs import BlobSource
from dockless.errors import InvalidDocumentError
from dockless.image_tree import read_any_manifest, read_image, read_manifest
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.layout.oci_layout import OciLayout
from dockless.oci.descriptor import Descriptor
from dockless.oci.image_documents import NotAnImageError
from dockless.oci.manifest import AnyManifest, Index, Manifest, OtherManifest, parse_any_manifest
from dockless.oci.platform import Platform
from dockless.oci.selection import select_image
from dockless.transfer.locations import DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, Location
from dockless.transfer.registry_access import RegistryAccess

if TYPE_CHECKING:
    from dockless.registry.blob_reader import RegistryBlobSource


@dataclass(frozen=True)
class OpenImage:
    """An open image: its root, and the source of its blobs."""

    location: Location
    root: AnyManifest
    source: BlobSource


@contextmanager
def open_blobs(location: Location, access: RegistryAccess) -> Iterator[RegistryBlobSource | DockerArchive | OciLayout]:
    """Open the blobs of the image at `location` until the body ends. Raises LayoutError, CredentialsError."""
    if location.reference is not None:
        from dockless.registry.blob_reader import RegistryBlobSource

        with access:
            yield RegistryBlobSource(access.client(location.reference), location.reference.repository)
        return
    source = (
        DockerArchive(location.path)
        if location.kind == DOCKER_ARCHIVE
        else OciLayout(location.path)
        if location.kind == OCI
        else OciLayout.in_archive(location.path)
    )
    try:
        if isinstance(source, DockerArchive):
            # An archive maps blobs to its files only after the image was read.
            source.image(location.name)
        yield source
    finally:
        source.close()


@contextmanager
def open_image(location: Location, access: RegistryAccess) -> Iterator[OpenImage]:
    """Open the image at `location` until the body ends. Raises LayoutError, RegistryError, InvalidDocumentError."""
    with open_blobs(location, access) as source:
        root: AnyManifest
        if isinstance(source, DockerArchive):
            root = source.image(location.name).manifest
        elif isinstance(source, OciLayout):
            listed = source.root(location.name)
            root = read_any_manifest(source, listed, f"{location.path}: {listed.digest}")
        else:
            reference = location.registry_reference
            served = access.client(reference).get_manifest(reference.repository, reference.version)
            root = parse_any_manifest(served.raw, str(location), media_type=served.media_type)
        yield OpenImage(location, root, source)


def select_manifest(image: OpenImage, platform: Platform | None) -> Manifest:
    """Return the manifest for `platform`; None selects the only one, else linux/amd64. See `select_image`.

    Raises InvalidDocumentError, with the platforms that the image has.
    """
    root, label = image.root, str(image.location)
    if isinstance(root, OtherManifest):
        raise root.error(label)
    if isinstance(root, Manifest):
        if platform is not None:
            own = read_image(image.source, root, label).platform
            if not own.runs_on(platform):
                raise InvalidDocumentError(f"{label} has no image for {platform}", cause=f"its platform is {own}")
        return root

    def read(child: Descriptor) -> Manifest | Index:
        return read_manifest(image.source, child, f"{label} ({child.digest})")

    def read_platform(manifest: Manifest) -> Platform | None:
        try:
            return read_image(image.source, manifest, label).platform
        except NotAnImageError:
            return None

    child = select_image(root, platform, label, read, read_platform)
    manifest = read(child)
    if isinstance(manifest, Index):
        raise InvalidDocumentError(f"{label} lists {child.digest} as a manifest", cause="it is an index")
    return manifest


def archive_kind(path: str) -> str:
    """Return `oci-archive` or `docker-archive` for an archive. Raises LayoutError."""
    from dockless.tar.index import TarFiles

    with TarFiles(path) as files:
        # Since Docker 25, its archives have both formats.
        return OCI_ARCHIVE if files.size("oci-layout") is not None else DOCKER_ARCHIVE
