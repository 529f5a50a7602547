"""Writes docker-archives: what `docker load`, `podman load` and skopeo read.

The format is that of `docker save` since 1.10: a `manifest.json` that names a config and layers, which are plain tars.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import BinaryIO

from dockless._atomic import atomic_file
from dockless._hashing import HashingWriter
from dockless.blobs import BlobSource
from dockless.errors import InvalidValueError, LayoutError, RegistryError
from dockless.layout.blob_copy import Moved, ignored
from dockless.oci.image_documents import ImageDocuments, ImageLayer
from dockless.oci.reference import DOCKER_HUB, Reference
from dockless.tar.decompress import decoded
from dockless.tar.writer import END, file_header, padding, put_file

_BLOCK = 1 << 20


def write_docker_archive(
    path: str, image: ImageDocuments, references: Sequence[Reference], source: BlobSource, *, moved: Moved = ignored
) -> None:
    """Writes `image` to the tar `path`; loaded, it gets the names `references`, each with a tag (none: `latest`).

    Layers are decompressed, because older daemons read no zstd, and verified by their diff ids. The same image gives
    the same bytes. What `path` names is replaced when the tar is whole. Raises LayoutError; InvalidValueError for a
    reference by digest, which the format has no place for.
    """
    names = [_loaded_name(reference) for reference in references]
    members = {layer.diff_id: f"{layer.diff_id.hex}.tar" for layer in image.layers}
    listed = {
        "Config": f"{image.manifest.config.digest.hex}.json",
        "RepoTags": names or None,
        "Layers": [members[layer.diff_id] for layer in image.layers],
    }
    with atomic_file(path) as tar:
        for layer in {layer.diff_id: layer for layer in image.layers}.values():
            _put_layer(tar, members[layer.diff_id], layer, source, moved)
        put_file(tar, str(listed["Config"]), image.config_bytes)
        put_file(tar, "manifest.json", json.dumps([listed], sort_keys=True, separators=(",", ":")).encode())
        tar.write(END)


def _loaded_name(reference: Reference) -> str:
    """As docker itself writes it: short on Docker Hub."""
    if reference.digest:
        raise InvalidValueError(
            f"a docker-archive cannot hold the name {reference}", hint="give it a tag, not a digest"
        )
    name = reference.repository if reference.registry == DOCKER_HUB else reference.name
    if reference.registry == DOCKER_HUB and name.startswith("library/"):
        name = name[len("library/") :]
    return f"{name}:{reference.tag or 'latest'}"


def _put_layer(tar: BinaryIO, name: str, layer: ImageLayer, source: BlobSource, moved: Moved) -> None:
    """The header says how large the layer is, which is known when it is decompressed: it is written last."""
    begin = tar.tell()
    header = file_header(name, 0)
    while True:
        tar.write(header)
        try:
            size = _put_content(tar, layer, source, moved)
        except RegistryError as error:
            if not error.damaged_once:
                raise
            known = header
        else:
            known = file_header(name, size)
            if len(known) == len(header):
                break
        # Once more: it came damaged, or over 8 GiB the header has one of pax before it and the content begins later.
        header = known
        tar.seek(begin)
        tar.truncate()
    end = tar.tell()
    tar.seek(begin)
    tar.write(known)
    tar.seek(end)
    tar.write(padding(size))


def _put_content(tar: BinaryIO, layer: ImageLayer, source: BlobSource, moved: Moved) -> int:
    what = f"the layer {layer.descriptor.digest}"
    content = HashingWriter(tar.write)
    with source.open(layer.descriptor) as file:
        try:
            for piece in decoded(file, what, layer.descriptor.size):
                content.write(piece)
        except LayoutError:
            # Bytes that were damaged on the way mostly cannot be decompressed: that it was that is known at their end.
            while file.read(_BLOCK):
                pass
            raise
    if content.digest != layer.diff_id:
        raise LayoutError(
            f"{what} is damaged",
            cause=f"inside it is {content.digest}, the config says {layer.diff_id}",
        )
    moved(layer.descriptor, layer.descriptor.size)
    return content.size
