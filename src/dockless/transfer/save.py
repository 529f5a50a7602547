"""Brings an image to its destination: what differs between a registry, a layout and an archive, in one place."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Callable

from dockless.blobs import BlobSource, MemoryBlobs
from dockless.errors import InvalidValueError
from dockless.layout.oci_layout import named
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Manifest
from dockless.oci.reference import Reference, check_tag
from dockless.registry.progress import Progress, ProgressEvent, silent
from dockless.registry.push_result import PushResult
from dockless.transfer.image_tree import Tree
from dockless.transfer.locations import DOCKER_ARCHIVE, OCI, REGISTRY, Location
from dockless.transfer.open import read_documents
from dockless.transfer.registry_access import Access


def save(
    tree: Tree,
    content: BlobSource,
    destination: Location,
    *,
    tags: Sequence[str] = (),
    access: Access,
    mount_from: Mapping[Digest, Collection[str]] | None = None,
    force_upload: bool = False,
    keep_foreign_layers: bool = True,
    progress: Progress = silent,
) -> PushResult:
    """Brings the image `tree`, whose blobs are read from `content`, to `destination`, under its own name and `tags`.

    With neither it is called `latest` in a registry, and nothing on disk. Foreign layers are sent only without
    `keep_foreign_layers`; archives that `docker load` reads hold them always. Raises DocklessError.
    """
    content = MemoryBlobs({digest: document.raw for digest, document in tree.documents.items()}, content)
    if destination.kind == REGISTRY:
        return _to_registry(
            tree, content, destination, tags, access, mount_from or {}, force_upload, keep_foreign_layers, progress
        )
    told = _Told(progress)
    if destination.kind == DOCKER_ARCHIVE:
        return _to_docker_archive(tree, content, destination, tags, told)
    names = names_at(destination, tags)
    roots = named(_listed(tree, content, destination), names)
    blobs = [blob for blob in tree.all_blobs if not (keep_foreign_layers and blob.is_foreign)]
    if destination.kind == OCI:
        from dockless.layout.oci_layout_writer import write_layout

        write_layout(destination.path, roots, blobs, content, on_bytes=told.moved, jobs=access.jobs)
    else:
        from dockless.layout.oci_archive import write_oci_archive

        write_oci_archive(destination.path, roots, blobs, content, on_bytes=told.moved)
    return told.result(tree.root.digest, [destination.named(name) for name in names] or [destination.named("")])


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags, which may be read once. Raises InvalidValueError for what are no texts."""
    if isinstance(tags, (str, bytes)):
        raise InvalidValueError("tags is text, not a list", hint=f"write [{tags!r}]")
    found = tuple(tags) if isinstance(tags, Iterable) else (None,)
    if not all(isinstance(tag, str) for tag in found):
        raise InvalidValueError(f"tags is {tags!r:.100}, not a list of texts", hint='write ["1.0"]')
    return found


def names_at(destination: Location, tags: Sequence[str]) -> list[str]:
    """What the image is to be called there: by its own name and `tags`, none twice. Raises InvalidValueError."""
    own, default = destination.name, ""
    check: Callable[[str], str] = check_name
    if destination.reference is not None:
        own, check = destination.reference.tag, check_tag
        default = "" if destination.reference.digest else "latest"
    elif destination.kind == DOCKER_ARCHIVE:
        if tags and not own:
            raise InvalidValueError(
                f"{destination} has no name to put tags to", hint="write docker-archive:FILE:NAME[:TAG]"
            )
        check = check_tag
        if own:
            own, default = Reference.parse(own).tag, "latest"
    # Of its own it may have none; a tag that is empty is a slip.
    names = list(dict.fromkeys(check(name) for name in ([own, *tags] if own else tags)))
    return names or ([default] if default else [])


def check_name(name: str) -> str:
    """`name` if it may name an image in a layout (image spec, annotations.md, `ref.name`). Raises InvalidValueError."""
    if name and name.isascii() and name.isprintable() and " " not in name:
        return name
    raise InvalidValueError(f"{name!r:.100} cannot name an image in a layout", hint="write letters, digits and -._:@/+")


def _listed(tree: Tree, content: BlobSource, destination: Location) -> Descriptor:
    """The root as a layout lists it: an image with its platform, as its readers choose by it."""
    if not isinstance(tree.root, Manifest):
        return tree.root.descriptor
    try:
        return read_documents(tree.root, content, str(destination)).descriptor
    except ValueError:
        # An artifact, whose config is none of an image.
        return tree.root.descriptor


def _to_registry(
    tree: Tree,
    content: BlobSource,
    destination: Location,
    tags: Sequence[str],
    access: Access,
    mount_from: Mapping[Digest, Collection[str]],
    force: bool,
    keep_foreign: bool,
    progress: Progress,
) -> PushResult:
    from dockless.registry.pusher import push

    reference = destination.registry_reference
    digest = tree.root.digest
    if reference.digest and reference.digest != digest:
        raise InvalidValueError(
            f"cannot save to {reference}", cause=f"the image has the digest {digest}", hint="name a tag, or no version"
        )
    client = access.client(reference)
    return push(
        tree.root,
        content,
        client,
        reference.repository,
        names_at(destination, tags),
        mount_from=mount_from,
        force=force,
        keep_foreign_layers=keep_foreign,
        progress=progress,
    )


def _to_docker_archive(
    tree: Tree, content: BlobSource, destination: Location, tags: Sequence[str], told: _Told
) -> PushResult:
    from dockless.layout.docker_archive_writer import write_docker_archive

    if not isinstance(tree.root, Manifest):
        raise InvalidValueError("a docker-archive holds one platform", hint="choose it with --platform")
    references = [Reference.parse(destination.name)._replace(tag=tag) for tag in names_at(destination, tags)]
    documents = read_documents(tree.root, content, str(destination))
    write_docker_archive(destination.path, documents, references, content, on_bytes=told.moved)
    names = [f"{DOCKER_ARCHIVE}:{destination.path}:{reference}" for reference in references]
    return told.result(tree.root.digest, names or [destination.named("")])


class _Told:
    """What was written to disk, told as a push tells it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._left: dict[Digest, int] = {}
        self._sent = 0
        self._bytes = 0

    def moved(self, blob: Descriptor, size: int) -> None:
        with self._lock:
            began = blob.digest not in self._left
            self._left.setdefault(blob.digest, blob.size)
            self._left[blob.digest] -= size
            ended = self._left[blob.digest] <= 0
            self._sent += ended
            self._bytes += size
        if began:
            self._progress(ProgressEvent("began", blob))
        self._progress(ProgressEvent("bytes", blob, size))
        if ended:
            self._progress(ProgressEvent("sent", blob))

    def result(self, digest: Digest, references: Sequence[str]) -> PushResult:
        return PushResult(digest, tuple(references), self._sent, self._bytes)
