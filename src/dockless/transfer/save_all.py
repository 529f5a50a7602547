"""Saves images that are values to one or more destinations."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from dockless.blobs import MemoryBlobs
from dockless.errors import InvalidValueError
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Index, Manifest
from dockless.registry.progress import Progress
from dockless.registry.push_result import PushResult
from dockless.transfer.foreign_layers import ForeignContent
from dockless.transfer.image_tree import Tree
from dockless.transfer.layer_sources import Origins, mounts, opened
from dockless.transfer.locations import Location, to_destination
from dockless.transfer.registry_access import Access
from dockless.transfer.save import check_tags, names_at, save


def save_everywhere(
    root: Manifest | Index,
    images: Sequence[ImageDocuments],
    origins: Origins,
    destinations: Sequence[str | Location],
    *,
    tags: Sequence[str],
    access: Access | None,
    force_upload: bool,
    keep_foreign_layers: bool,
    progress: Progress,
) -> PushResult:
    """Saves `root`, which is or lists `images`, to each destination; the counts are summed."""
    if not destinations:
        raise InvalidValueError("nothing says where to save the image", hint="name a destination")
    tags = check_tags(tags)
    places = [to_destination(where) for where in destinations]
    for place in places:
        # Before the first of them holds the image: what is wrong with the last.
        names_at(place, tags)
    documents: dict[Digest, Manifest | Index] = {root.digest: root}
    blobs: dict[Digest, Descriptor] = {}
    memory: dict[Digest, bytes] = {}
    for image in images:
        documents[image.manifest.digest] = image.manifest
        memory.update(image.documents)
        for blob in (image.manifest.config, *image.manifest.layers):
            blobs.setdefault(blob.digest, blob)
    results = []
    with ExitStack() as stack:
        used = stack.enter_context(access or Access())
        content = stack.enter_context(opened(origins, blobs))
        foreign = ForeignContent(content, ca_file=used.ca_file)
        stack.callback(foreign.close)
        for where in places:
            results.append(
                save(
                    Tree(root, documents, blobs),
                    MemoryBlobs(memory, foreign),
                    where,
                    tags=tags,
                    access=used,
                    mount_from=mounts(origins, where),
                    force_upload=force_upload,
                    keep_foreign_layers=keep_foreign_layers,
                    progress=progress,
                )
            )
    return PushResult(
        root.digest,
        tuple(reference for result in results for reference in result.references),
        *(sum(counts) for counts in zip(*(result[2:] for result in results))),
    )
