"""Writes docker-archives, which `docker load`, `podman load` and skopeo read.

The format is that of `docker save` since 1.10: `manifest.json` names a config and layers, which are plain tar archives.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import BinaryIO

from dockless._atomic import atomic_file
from dockless._hashing import HashingWriter
from dockless.blobs import BlobSource, VerifiedReader
from dockless.errors import InvalidValueError, LayoutError, RegistryError
from dockless.layout.blob_copy import OnBytes, ignore_bytes
from dockless.oci.image_documents import ImageDocuments, ImageLayer
from dockless.oci.reference import DOCKER_HUB, Reference
from dockless.tar.decompress import decompress
from dockless.tar.writer import END, file_header, padding, put_file


def write_docker_archive(
    path: str,
    image: ImageDocuments,
    references: Sequence[Reference],
    source: BlobSource,
    *,
    on_bytes: OnBytes = ignore_bytes,
) -> None:
    """Write `image` to the archive `path`; `references` are its names, with the tag `latest` if they have none.

    Layers are decompressed, because older daemons do not read zstd, and verified by their diff IDs. The same image
    gives the same bytes. An existing file is replaced when the archive is complete. Raises LayoutError, and
    InvalidValueError for a reference with a digest, which the format cannot hold.
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
            _put_layer(tar, members[layer.diff_id], layer, source, on_bytes)
        put_file(tar, str(listed["Config"]), image.config_bytes)
        put_file(tar, "manifest.json", json.dumps([listed], sort_keys=True, separators=(",", ":")).encode())
        tar.write(END)


def _loaded_name(reference: Reference) -> str:
    """Return the name as Docker writes it: short for Docker Hub."""
    if reference.digest:
        raise InvalidValueError(
            f"a docker-archive cannot hold the name {reference}", hint="give it a tag, not a digest"
        )
    name = reference.repository if reference.registry == DOCKER_HUB else reference.name
    if reference.registry == DOCKER_HUB and name.startswith("library/"):
        name = name[len("library/") :]
    return f"{name}:{reference.tag or 'latest'}"


def _put_layer(tar: BinaryIO, name: str, layer: ImageLayer, source: BlobSource, on_bytes: OnBytes) -> None:
    """Write a layer. Its size is known after decompression, so the header is written last."""
    begin = tar.tell()
    header = file_header(name, 0)
    while True:
        tar.write(header)
        try:
            size = _put_content(tar, layer, source, on_bytes)
        except RegistryError as error:
            if not error.damaged_once:
                raise
            known = header
        else:
            known = file_header(name, size)
            if len(known) == len(header):
                break
        # Again: the blob was damaged, or the layer has more than 8 GiB and its header needs a PAX header before it.
        header = known
        tar.seek(begin)
        tar.truncate()
    end = tar.tell()
    tar.seek(begin)
    tar.write(known)
    tar.seek(end)
    tar.write(padding(size))


def _put_content(tar: BinaryIO, layer: ImageLayer, source: BlobSource, on_bytes: OnBytes) -> int:
    label = f"the layer {layer.descriptor.digest}"
    content = HashingWriter(tar.write)
    with source.open(layer.descriptor) as file:
        blob = VerifiedReader(file, layer.descriptor)
        try:
            for chunk in decompress(blob, label, layer.descriptor.size):
                content.write(chunk)
        except LayoutError:
            # Bytes damaged in transit cannot be decompressed in most cases. Only at the end is it known that they were.
            blob.drain()
            raise
    if content.digest != layer.diff_id:
        raise LayoutError(
            f"{label} is damaged",
            cause=f"its content has the digest {content.digest}, and the diff ID in the config is {layer.diff_id}",
        )
    on_bytes(layer.descriptor, layer.descriptor.size)
    return content.size
