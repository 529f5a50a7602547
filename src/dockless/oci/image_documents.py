"""The manifest and the config of an image."""

from __future__ import annotations

from typing import NamedTuple

from dockless._units import format_count
from dockless.errors import InvalidDocumentError
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_config import CREATED_BY, ImageConfig
from dockless.oci.manifest import Manifest
from dockless.oci.platform import Platform

# Docker's limit, which comes from overlayfs in older kernels.
_MAX_LAYERS = 127


class NotAnImageError(InvalidDocumentError):
    """A manifest is that of an artifact, such as a signature or a chart, and not of an image."""


class ImageLayer(NamedTuple):
    """A layer of an image: the descriptor of its blob, its diff ID, and the `created_by` of its history entry."""

    descriptor: Descriptor
    diff_id: Digest
    created_by: str = CREATED_BY


class ImageDocuments(NamedTuple):
    """An image without the content of its layers. `config_bytes` is the blob that the manifest names."""

    manifest: Manifest
    config: ImageConfig
    config_bytes: bytes

    @classmethod
    def read(cls, manifest: Manifest, config_bytes: bytes, label: str) -> ImageDocuments:
        """Combine a manifest and its config; errors name the image `label`.

        Raises NotAnImageError for the manifest of an artifact, and InvalidDocumentError for a config with another
        digest or size than in the manifest, and if the numbers of diff IDs and layers differ.
        """
        digest = Digest.of(config_bytes)
        if digest != manifest.config.digest or len(config_bytes) != manifest.config.size:
            raise InvalidDocumentError(
                f"the config of {label} does not match the manifest",
                cause=f"the manifest says {manifest.config.digest} of {format_count(manifest.config.size, 'byte')}, "
                f"the config has {digest} and {format_count(len(config_bytes), 'byte')}",
            )
        if manifest.config.media_type not in media_types.CONFIGS.values():
            raise NotAnImageError(
                f"{label} is an artifact, not an image", cause=f"its config is of the type {manifest.config.media_type}"
            )
        if not config_bytes.strip():
            raise NotAnImageError(f"{label} is an artifact, not an image", cause="its config is empty")
        config = ImageConfig.from_bytes(config_bytes, f"the config {digest} of {label}")
        is_rooted = len(config.diff_ids) == len(manifest.layers)
        is_layered = all(media_types.is_layer(layer.media_type) for layer in manifest.layers)
        if not (config.document.get("os") and config.document.get("architecture")) and not (is_rooted and is_layered):
            raise NotAnImageError(
                f"{label} is an artifact, not an image",
                cause="its config names no OS and architecture, and "
                + ("not all of its layers are archives" if is_rooted else "no diff IDs of its layers"),
            )
        if manifest.layers and not config.diff_ids:
            raise InvalidDocumentError(
                f"the config {digest} of {label} has no rootfs.diff_ids", cause="the document is not an image config"
            )
        if not is_rooted:
            raise InvalidDocumentError(
                f"the documents of {label} are inconsistent",
                cause=f"its manifest has {format_count(len(manifest.layers), 'layer')}, "
                f"its config {format_count(len(config.diff_ids), 'diff ID')}",
            )
        return cls(manifest, config, config_bytes)

    @property
    def platform(self) -> Platform:
        """The platform in the config."""
        return self.config.platform

    @property
    def image_format(self) -> str:
        """`docker` or `oci`, by the manifest's media type."""
        return "docker" if self.manifest.media_type == media_types.DOCKER_MANIFEST else "oci"

    @property
    def layers(self) -> tuple[ImageLayer, ...]:
        """The layers, lowest first."""
        return tuple(map(ImageLayer, self.manifest.layers, self.config.diff_ids))

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the manifest with the platform, as in an index."""
        features = self.config.document.get("os.features")
        platform = self.platform if any(self.platform) else None
        return self.manifest.descriptor._replace(
            platform=platform, extra={"platform": {"os.features": features}} if features else None
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about properties that are valid but may not be intended."""
        if len(self.manifest.layers) <= _MAX_LAYERS:
            return ()
        return (
            f"the image has {len(self.manifest.layers)} layers: many runtimes mount at most {_MAX_LAYERS}; "
            "put more files into fewer layers",
        )

    @property
    def size(self) -> int:
        """Size in bytes of the manifest, the config and each distinct layer."""
        layers = {layer.digest: layer.size for layer in self.manifest.layers}
        return sum(layers.values()) + len(self.config_bytes) + len(self.manifest.raw)

    @property
    def documents(self) -> dict[Digest, bytes]:
        """The manifest and the config by digest."""
        return {self.manifest.digest: self.manifest.raw, self.manifest.config.digest: self.config_bytes}
