"""Compresses the uncompressed layers of an image, such as those of a docker-archive, before they are sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

from dockless._atomic import atomic_file
from dockless._hashing import HashingReader, HashingWriter
from dockless.blobs import BlobSource, VerifiedReader, read_twice
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
from dockless.transfer.layer_sources import BuildDirectory, LayerSources, open_layer_sources

_UNCOMPRESSED = frozenset((media_types.DOCKER_LAYER, media_types.OCI_LAYER))


def compress_image(image: ImageDocuments, layer_sources: LayerSources) -> tuple[ImageDocuments, LayerSources]:
    """Return `image` with its uncompressed layers compressed, and the sources of the layers that were compressed.

    Raises LayoutError for a layer that does not match its diff ID.
    """
    own = [layer.descriptor.digest for layer in image.layers]
    directory = BuildDirectory()
    with open_layer_sources(layer_sources, own) as source:
        documents = compress_layers(image, source, directory.path)
    compressed = (layer.descriptor.digest for layer in documents.layers)
    return documents, {digest: directory for digest in compressed if digest not in own}


def compress_layers(image: ImageDocuments, source: BlobSource, directory: str) -> ImageDocuments:
    """Return `image` with its uncompressed layers compressed into `directory`; the config does not change.

    Raises LayoutError for a layer that does not match its diff ID.
    """
    compressed: dict[Digest, Descriptor] = {}
    for layer in image.layers:
        if layer.descriptor.media_type in _UNCOMPRESSED and layer.diff_id not in compressed:
            compressed[layer.diff_id] = read_twice(partial(_compress, layer, source, directory, image.image_format))
    if not compressed:
        return image
    layers = [compressed.get(layer.diff_id, layer.descriptor) for layer in image.layers]
    manifest = make_manifest(image.manifest.config, layers, image_format=image.image_format, start=image.manifest.json)
    return ImageDocuments(manifest, image.config, image.config_bytes)


def _compress(layer: ImageLayer, source: BlobSource, directory: str, image_format: str) -> Descriptor:
    encoder = find_encoder("gzip")
    label = str(layer.descriptor.digest)
    temporary = os.path.join(directory, f"{layer.diff_id.hex}.new")
    with atomic_file(temporary) as file, source.open(layer.descriptor) as tar:
        verified = VerifiedReader(tar, layer.descriptor)
        reader = HashingReader(decompress(verified, label), label)
        blob = HashingWriter(file.write)
        encoded = encode_blocks(_blocks_of(reader, encoder.block_size), encoder, blob.write)
    if encoded.diff_id != layer.diff_id:
        raise LayoutError(
            f"the layer {layer.descriptor.digest} is damaged",
            cause=f"the digest of its tar is {encoded.diff_id}, but its diff ID is {layer.diff_id}",
        )
    os.replace(temporary, os.path.join(directory, blob.digest.hex))
    return Descriptor(media_types.layer_media_type(encoder.format, image_format), blob.digest, blob.size)


def _blocks_of(reader: HashingReader, size: int) -> Iterator[Block]:
    """Yield a tar in blocks of `size` bytes, as an encoder reads it."""
    while data := reader.read_exactly(size):
        # Encoders need writable memory.
        yield Block(memoryview(bytearray(data)))
