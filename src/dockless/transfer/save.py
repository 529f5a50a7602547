"""Saves images to registries, layouts and archives."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Callable

from dockless.blobs import BlobSource, MemoryBlobs
from dockless.errors import InvalidDocumentError, InvalidValueError
from dockless.image_tree import ImageTree, read_image
from dockless.layout.oci_layout import named, with_loaded_name
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Index, Manifest, OtherManifest
from dockless.oci.reference import Reference, check_tag
from dockless.registry.progress import Progress, ProgressEvent, check_progress, silent
from dockless.registry.push_result import PushResult
from dockless.transfer.foreign_layers import ForeignLayerSource
from dockless.transfer.layer_sources import LayerSources, mount_repositories, open_layer_sources
from dockless.transfer.locations import DOCKER_ARCHIVE, OCI, REGISTRY, Location, to_destination
from dockless.transfer.registry_access import RegistryAccess, to_access


def save_images(
    root: Manifest | Index,
    images: Sequence[ImageDocuments],
    layer_sources: LayerSources,
    destinations: Sequence[str | Location],
    *,
    tags: Sequence[str],
    access: RegistryAccess | None,
    force_upload: bool,
    keep_foreign_layers: bool,
    progress: Progress,
) -> PushResult:
    """Save `root`, which is one of `images` or lists them, to each destination. The result has the sums of counts."""
    if not destinations:
        raise InvalidValueError("no destination given", hint="name a destination")
    tags = check_tags(tags)
    check_progress(progress)
    locations = [to_destination(destination) for destination in destinations]
    for location in locations:
        # Names are checked for all destinations before anything is written to the first.
        image_names(location, tags)
    # A root that is an index comes after the manifests that it lists.
    documents: dict[Digest, Manifest | Index] = {image.manifest.digest: image.manifest for image in images}
    documents[root.digest] = root
    tree = ImageTree.of(root, list(documents.values()))
    memory = {digest: data for image in images for digest, data in image.documents.items()}
    with ExitStack() as stack:
        access = stack.enter_context(to_access(access))
        layers = stack.enter_context(open_layer_sources(layer_sources, tree.blobs))
        foreign = ForeignLayerSource(layers, ca_file=access.ca_file, hosts=access.insecure_hosts)
        stack.callback(foreign.close)
        results = [
            save_tree(
                tree,
                MemoryBlobs(memory, foreign),
                location,
                tags=tags,
                access=access,
                mount_from=mount_repositories(layer_sources, location),
                force_upload=force_upload,
                keep_foreign_layers=keep_foreign_layers,
                progress=progress,
            )
            for location in locations
        ]
    return PushResult(
        root.digest,
        tuple(reference for result in results for reference in result.references),
        blobs_sent=sum(result.blobs_sent for result in results),
        bytes_sent=sum(result.bytes_sent for result in results),
        blobs_mounted=sum(result.blobs_mounted for result in results),
        blobs_present=sum(result.blobs_present for result in results),
    )


def save_tree(
    tree: ImageTree,
    source: BlobSource,
    destination: Location,
    *,
    tags: Sequence[str] = (),
    access: RegistryAccess,
    mount_from: Mapping[Digest, Collection[str]] | None = None,
    force_upload: bool = False,
    keep_foreign_layers: bool = True,
    loaded_as: Reference | None = None,
    progress: Progress = silent,
) -> PushResult:
    """Save an image, whose blobs are read from `source`, to `destination` under its own name and `tags`.

    Without either, the image gets the tag `latest` in a registry, and no name on disk. In an oci-archive, an image
    that comes from the reference `loaded_as` gets this reference when it is loaded. Foreign layers are left out
    with `keep_foreign_layers`, except in archives that `docker load` reads. Raises DocklessError.
    """
    source = MemoryBlobs({digest: document.raw for digest, document in tree.documents.items()}, source)
    if destination.kind == REGISTRY:
        return _save_to_registry(
            tree, source, destination, tags, access, mount_from or {}, force_upload, keep_foreign_layers, progress
        )
    written = _WriteProgress(progress)
    if destination.kind == DOCKER_ARCHIVE:
        return _save_to_docker_archive(tree, source, destination, tags, written)
    names = image_names(destination, tags)
    roots = named(_listed_root(tree, source, destination), names)
    blobs = [blob for blob in tree.all_blobs if not (keep_foreign_layers and blob.is_foreign)]
    if destination.kind == OCI:
        from dockless.layout.oci_layout_writer import write_layout

        write_layout(destination.path, roots, blobs, source, on_bytes=written.on_bytes, jobs=access.jobs)
    else:
        from dockless.layout.oci_archive import write_oci_archive

        roots = [with_loaded_name(root, loaded_as) for root in roots]
        write_oci_archive(destination.path, roots, blobs, source, on_bytes=written.on_bytes)
    return written.result(tree.root.digest, [destination.named(name) for name in names or [""]])


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags, which may be an iterator. Raises InvalidValueError if they are not a list of strings."""
    if isinstance(tags, (str, bytes)):
        raise InvalidValueError("tags is a string, not a list", hint=f"write [{tags!r}]")
    checked = tuple(tags) if isinstance(tags, Iterable) else (None,)
    if not all(isinstance(tag, str) for tag in checked):
        raise InvalidValueError(f"tags is {tags!r:.100}, not a list of strings", hint='write ["1.0"]')
    return checked


def image_names(destination: Location, tags: Sequence[str]) -> list[str]:
    """Return the names for the image at `destination`: its own and `tags`, each once. Raises InvalidValueError."""
    own, default = destination.name, ""
    check: Callable[[str], str] = _check_name
    if destination.reference is not None:
        own, check = destination.reference.tag, check_tag
        default = "" if destination.reference.digest else "latest"
    elif destination.kind == DOCKER_ARCHIVE:
        if tags and not own:
            raise InvalidValueError(
                f"tags need an image name, and {destination} has none", hint="write docker-archive:FILE:NAME[:TAG]"
            )
        check = check_tag
        if own:
            own, default = Reference.parse(own).tag, "latest"
    # The own name may be empty; an empty tag is an error.
    names = list(dict.fromkeys(check(name) for name in ([own, *tags] if own else tags)))
    return names or ([default] if default else [])


def _check_name(name: str) -> str:
    """Return `name` if it may name an image in a layout (image spec, annotations.md, `ref.name`).

    Raises InvalidValueError.
    """
    if name and name.isascii() and name.isprintable() and " " not in name:
        return name
    raise InvalidValueError(
        f"{name!r:.100} is not a valid image name in a layout", hint="write letters, digits and -._:@/+"
    )


def _listed_root(tree: ImageTree, source: BlobSource, destination: Location) -> Descriptor:
    """Return the root's descriptor for the index of a layout: an image with its platform, by which readers select."""
    if not isinstance(tree.root, Manifest):
        return tree.root.descriptor
    try:
        return read_image(source, tree.root, f"the image {tree.root.digest}").descriptor
    except InvalidDocumentError:
        # The config of an artifact is not an image config.
        return tree.root.descriptor


def _save_to_registry(
    tree: ImageTree,
    source: BlobSource,
    destination: Location,
    tags: Sequence[str],
    access: RegistryAccess,
    mount_from: Mapping[Digest, Collection[str]],
    force: bool,
    keep_foreign_layers: bool,
    progress: Progress,
) -> PushResult:
    from dockless.registry.pusher import push

    reference = destination.registry_reference
    digest = tree.root.digest
    if reference.digest and reference.digest != digest:
        raise InvalidValueError(
            f"cannot save to {reference}",
            cause=f"the digest of the image is {digest}",
            hint="write a tag instead of the digest",
        )
    return push(
        tree.root,
        source,
        access.client(reference),
        reference.repository,
        image_names(destination, tags),
        mount_from=mount_from,
        force=force,
        keep_foreign_layers=keep_foreign_layers,
        progress=progress,
    )


def _save_to_docker_archive(
    tree: ImageTree, source: BlobSource, destination: Location, tags: Sequence[str], written: _WriteProgress
) -> PushResult:
    from dockless.layout.docker_archive_writer import write_docker_archive

    if isinstance(tree.root, OtherManifest):
        raise tree.root.error(f"the image {tree.root.digest}")
    if not isinstance(tree.root, Manifest):
        raise InvalidValueError(
            "a docker-archive holds one platform, and the image has several", hint="select one with --platform"
        )
    own = Reference.parse(destination.name) if destination.name else None
    references = [
        Reference(own.registry, own.repository, tag, own.digest) for tag in image_names(destination, tags) if own
    ]
    image = read_image(source, tree.root, f"the image {tree.root.digest}")
    write_docker_archive(destination.path, image, references, source, on_bytes=written.on_bytes)
    names = [destination.named(str(reference)) for reference in references] or [destination.named("")]
    return written.result(tree.root.digest, names)


class _WriteProgress:
    """Reports writes to disk with the events of a push, and counts them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._missing: dict[Digest, int] = {}
        self._blobs = 0
        self._bytes = 0

    def on_bytes(self, blob: Descriptor, size: int) -> None:
        """Report `size` more bytes of `blob`; the size is negative if they are written again."""
        with self._lock:
            began = blob.digest not in self._missing
            self._missing.setdefault(blob.digest, blob.size)
            self._missing[blob.digest] -= size
            ended = self._missing[blob.digest] <= 0
            self._blobs += ended
            self._bytes += size
        if began:
            self._progress(ProgressEvent("began", blob))
        self._progress(ProgressEvent("bytes", blob, size))
        if ended:
            self._progress(ProgressEvent("written", blob))

    def result(self, digest: Digest, references: Sequence[str]) -> PushResult:
        return PushResult(digest, tuple(references), self._blobs, self._bytes)
