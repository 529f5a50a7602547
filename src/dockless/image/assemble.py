"""From descriptors of layers to an image: its config and its manifest. No layer's bytes are needed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from dockless import media_types
from dockless.config import ConfigEdit, ImageConfig
from dockless.descriptor import Descriptor
from dockless.digest import Digest
from dockless.manifest import Manifest, make_manifest
from dockless.platform import Platform


class ImageLayer(NamedTuple):
    """A layer as an image needs it: where its blob is, and the digest of what is inside."""

    descriptor: Descriptor
    diff_id: Digest


class AssembledImage(NamedTuple):
    """One image, whole but for its layers' bytes."""

    manifest: Manifest
    config: ImageConfig
    config_bytes: bytes
    platform: Platform

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's descriptor, with the platform, as an index lists it."""
        return self.manifest.descriptor._replace(platform=self.platform)

    @property
    def size(self) -> int:
        """Bytes in all: layers, config and manifest."""
        layers = {layer.digest: layer.size for layer in self.manifest.layers}
        return sum(layers.values()) + len(self.config_bytes) + len(self.manifest.raw)

    @property
    def documents(self) -> dict[Digest, bytes]:
        """The small blobs: manifest and config."""
        return {self.manifest.digest: self.manifest.raw, self.manifest.config.digest: self.config_bytes}


def assemble_image(platform: Platform, layers: Iterable[ImageLayer], edit: ConfigEdit) -> AssembledImage:
    """An OCI image from scratch: `layers`, lowest first, under the config that `edit` describes.

    Raises InvalidValue where `edit` breaks a rule.
    """
    config = ImageConfig.scratch(platform).edited(edit)
    descriptors = []
    for layer in layers:
        config = config.with_layer(layer.diff_id)
        descriptors.append(layer.descriptor)
    config_bytes = config.to_bytes()
    manifest = make_manifest(
        Descriptor(media_types.OCI_CONFIG, Digest.of(config_bytes), len(config_bytes)), descriptors
    )
    return AssembledImage(manifest, config, config_bytes, platform)
