"""Copies an image from one location to another: push, pull, and registry to registry."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack

from dockless.blobs import BlobSource, DirectoryBlobs
from dockless.errors import InvalidValueError
from dockless.image_tree import ImageTree, read_image
from dockless.oci.manifest import AnyManifest, Manifest, OtherManifest
from dockless.oci.platform import Platform, to_platform
from dockless.registry.progress import Progress, check_progress, silent
from dockless.registry.push_result import PushResult
from dockless.transfer.foreign_layers import ForeignLayerSource
from dockless.transfer.layer_sources import SourceLocation, mount_repositories
from dockless.transfer.locations import DOCKER_ARCHIVE, OCI, REGISTRY, Location, to_destination, to_location
from dockless.transfer.open import open_image, select_manifest
from dockless.transfer.registry_access import RegistryAccess, to_access
from dockless.transfer.save import check_tags, image_names, save_tree


def copy_image(
    source: str | Location,
    destination: str | Location,
    *,
    access: RegistryAccess | None = None,
    tags: Sequence[str] = (),
    platform: str | Platform | None = None,
    all_platforms: bool = False,
    force_upload: bool = False,
    keep_foreign_layers: bool = False,
    progress: Progress = silent,
) -> PushResult:
    """Copy the image at `source`, byte for byte, to `destination` and `tags`.

    From an index, the image for `platform` is copied (None: the only one, else linux/amd64); with `all_platforms`, the
    index and all its images. Blobs that the destination has are not sent; between repositories of one registry they
    are mounted. Foreign layers are downloaded from the first of their URLs that works, and sent, unless
    `keep_foreign_layers`. Uncompressed layers of a docker-archive are compressed. Raises DocklessError.
    """
    source, destination = to_location(source), to_destination(destination)
    tags = check_tags(tags)
    image_names(destination, tags)
    platform = to_platform(platform)
    check_progress(progress)
    with ExitStack() as stack:
        access = stack.enter_context(to_access(access))
        image = stack.enter_context(open_image(source, access))
        is_whole = all_platforms or (platform is None and isinstance(image.root, OtherManifest))
        root: AnyManifest = image.root if is_whole else select_manifest(image, platform)
        blobs: BlobSource = image.source
        if source.kind == DOCKER_ARCHIVE and destination.kind != DOCKER_ARCHIVE and isinstance(root, Manifest):
            import tempfile

            from dockless.transfer.recompress import compress_layers

            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="dockless-"))
            root = compress_layers(read_image(blobs, root, str(source)), blobs, directory).manifest
            blobs = DirectoryBlobs(directory, blobs)
        if not keep_foreign_layers or destination.kind == DOCKER_ARCHIVE:
            own = [source.reference.registry] if source.reference is not None else []
            foreign = ForeignLayerSource(blobs, ca_file=access.ca_file, hosts=[*own, *access.insecure_hosts])
            stack.callback(foreign.close)
            blobs = foreign
        tree = ImageTree.read(root, blobs, str(source))
        return save_tree(
            tree,
            blobs,
            destination,
            tags=tags,
            access=access,
            mount_from=mount_repositories(dict.fromkeys(tree.blobs, SourceLocation(source, access)), destination),
            force_upload=force_upload,
            keep_foreign_layers=keep_foreign_layers,
            loaded_as=source.reference,
            progress=progress,
        )


def registries_of(source: str | Location, destination: str | Location) -> tuple[str, ...]:
    """Return the names of the registries that a copy needs. Raises InvalidValueError."""
    locations = to_location(source), to_destination(destination)
    return tuple(location.reference.registry for location in locations if location.reference is not None)


def check_destinations(destinations: Sequence[str | Location], tags: Sequence[str] = ()) -> None:
    """Raise InvalidValueError if a destination is invalid, or if two images would get the same name."""
    seen: set[tuple[str, str, str]] = set()
    for location in map(to_destination, destinations):
        for name in image_names(location, tags) or [""]:
            reference = location.reference
            place = f"{reference.registry}/{reference.repository}" if reference else os.path.abspath(location.path)
            # An archive holds one image.
            key = (location.kind, place, name if location.kind in (REGISTRY, OCI) else "")
            if key in seen:
                raise InvalidValueError(
                    f"two images would be saved to {location.named(name) if name else location}",
                    hint="give each image its own destination",
                )
            seen.add(key)
