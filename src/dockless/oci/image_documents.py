"""The two documents that are an image: its manifest and its config. Layers are known by what these say of them."""

from __future__ import annotations

from typing import NamedTuple

from dockless.errors import InvalidDocumentError
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_config import CREATED_BY, ImageConfig
from dockless.oci.manifest import Manifest
from dockless.oci.platform import Platform

# Docker's limit, of overlayfs in older kernels.
_MOST_LAYERS = 127


class ImageLayer(NamedTuple):
    """A layer as an image needs it: where its blob is, the digest of what is inside, and its line of history."""

    descriptor: Descriptor
    diff_id: Digest
    created_by: str = CREATED_BY


class ImageDocuments(NamedTuple):
    """One image, whole but for its layers' bytes. `config_bytes` are what the manifest names."""

    manifest: Manifest
    config: ImageConfig
    config_bytes: bytes

    @classmethod
    def read(cls, manifest: Manifest, config_bytes: bytes, what: str) -> ImageDocuments:
        """Puts a manifest and its config together; errors (InvalidDocumentError) name the image `what`.

        Refuses a config of another digest or size than the manifest says, a config that is none of an image (an
        artifact's), and diff ids that are not as many as the layers.
        """
        found = Digest.of(config_bytes)
        if found != manifest.config.digest or len(config_bytes) != manifest.config.size:
            raise InvalidDocumentError(
                f"the config of {what} is not what its manifest names",
                cause=f"the manifest says {manifest.config.digest} of {manifest.config.size} bytes, "
                f"the config has {found} and {len(config_bytes)} bytes",
            )
        if manifest.config.media_type not in media_types.CONFIGS.values():
            raise InvalidDocumentError(
                f"{what} is an artifact, not an image", cause=f"its config is of the type {manifest.config.media_type}"
            )
        config = ImageConfig.from_bytes(config_bytes, f"the config {found} of {what}")
        if len(config.diff_ids) != len(manifest.layers):
            raise InvalidDocumentError(
                f"the documents of {what} do not fit together",
                cause=f"its manifest has {len(manifest.layers)} layers, its config {len(config.diff_ids)} diff ids",
            )
        return cls(manifest, config, config_bytes)

    @property
    def platform(self) -> Platform:
        """What the config says the image is for."""
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
        """The manifest's descriptor, with the platform, as an index lists it."""
        features = self.config.document.get("os.features")
        return self.manifest.descriptor._replace(
            platform=self.platform, extra={"platform": {"os.features": features}} if features else None
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and yet may not be meant, a line each."""
        if len(self.manifest.layers) <= _MOST_LAYERS:
            return ()
        return (
            f"the image has {len(self.manifest.layers)} layers: many runtimes mount at most {_MOST_LAYERS}; "
            "put more into fewer",
        )

    @property
    def size(self) -> int:
        """Bytes in all: each layer's blob once, config and manifest."""
        layers = {layer.digest: layer.size for layer in self.manifest.layers}
        return sum(layers.values()) + len(self.config_bytes) + len(self.manifest.raw)

    @property
    def documents(self) -> dict[Digest, bytes]:
        """The small blobs: manifest and config."""
        return {self.manifest.digest: self.manifest.raw, self.manifest.config.digest: self.config_bytes}
