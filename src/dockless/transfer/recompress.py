"""Compresses layers that are plain tars, as those of a docker-archive are, before they are sent anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator

from dockless._atomic import atomic_file
from dockless._hashing import HashingReader, HashingWriter
from dockless.blobs import BlobSource
from dockless.errors import LayoutError
from dockless.layer.compression import find_encoder
from dockless.layer.compression.compressor import encode_blocks
from dockless.layer.tar_writer import Block
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments, ImageLayer
from dockless.oci.manifest import make_manifest
from dockless.tar.decompress import decompress

_PLAIN = frozenset((media_types.DOCKER_LAYER, media_types.OCI_LAYER))


def compress_layers(
    image: ImageDocuments, content: BlobSource, folder: str, compression: str = "gzip"
) -> ImageDocuments:
    """`image` with its plain layers compressed into `folder`; the config, and so the image id, stays.

    Raises LayoutError for a layer that is not what its diff id says.
    """
    done: dict[Digest, Descriptor] = {}
    for layer in image.layers:
        if layer.descriptor.media_type in _PLAIN and layer.diff_id not in done:
            done[layer.diff_id] = _compressed(layer, content, folder, compression, image.image_format)
    if not done:
        return image
    layers = [done.get(layer.diff_id, layer.descriptor) for layer in image.layers]
    manifest = make_manifest(image.manifest.config, layers, image_format=image.image_format, start=image.manifest.json)
    return image._replace(manifest=manifest)


def _compressed(layer: ImageLayer, content: BlobSource, folder: str, compression: str, image_format: str) -> Descriptor:
    encoder = find_encoder(compression)
    staged = os.path.join(folder, f"{layer.diff_id.hex}.new")
    with atomic_file(staged) as file, content.open(layer.descriptor) as plain:
        pieces = HashingReader(decompress(plain, str(layer.descriptor.digest)), str(layer.descriptor.digest))
        blob = HashingWriter(file.write)
        encoded = encode_blocks(blocks_of(pieces, encoder.block_size), encoder, blob.write)
    if encoded.diff_id != layer.diff_id:
        raise LayoutError(
            f"the layer {layer.descriptor.digest} is damaged",
            cause=f"inside it is {encoded.diff_id}, the config says {layer.diff_id}",
        )
    os.replace(staged, os.path.join(folder, blob.digest.hex))
    return Descriptor(media_types.layer_media_type(encoder.format, image_format), blob.digest, blob.size)


def blocks_of(pieces: HashingReader, size: int) -> Iterator[Block]:
    """A tar as an encoder takes it, in blocks of `size` bytes."""
    while data := pieces.read_exactly(size):
        # Writable, as encoders take it.
        yield Block(memoryview(bytearray(data)), ())
