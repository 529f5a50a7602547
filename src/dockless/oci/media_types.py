"""Media types of the OCI image spec (media-types.md) and of Docker's image manifest, version 2, schema 2."""

from __future__ import annotations

from dockless.errors import InvalidValueError, printable

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"

INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
# Manifests of artifacts, without a config: that of the image spec 1.1.0-rc2, which ORAS 1.0 writes, and that of ORAS 0.
ARTIFACTS = frozenset(
    {"application/vnd.oci.artifact.manifest.v1+json", "application/vnd.cncf.oras.artifact.manifest.v1+json"}
)
DOCUMENTS = MANIFESTS | INDEXES | ARTIFACTS
CONFIGS = {"oci": OCI_CONFIG, "docker": DOCKER_CONFIG}

_OCI_SUFFIXES = {"none": "", "gzip": "+gzip", "zstd": "+zstd"}
_DOCKER_LAYERS = {"none": DOCKER_LAYER, "gzip": DOCKER_LAYER_GZIP, "zstd": DOCKER_LAYER_ZSTD}
LAYER_FORMATS = frozenset(_OCI_SUFFIXES)
FORMATS = ("oci", "docker")
# Layers of Docker's Windows bases until 2023, and their OCI names (layer.md, "Non-Distributable Layers").
FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar"
_FOREIGN = {
    FOREIGN_LAYER: "application/vnd.docker.image.rootfs.foreign.diff.tar",
    FOREIGN_LAYER + "+gzip": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
}
_TO_DOCKER = {**{OCI_LAYER + suffix: _DOCKER_LAYERS[name] for name, suffix in _OCI_SUFFIXES.items()}, **_FOREIGN}
_TO_OCI = {docker: oci for oci, docker in _TO_DOCKER.items()}


def layer_media_type(layer_format: str, image_format: str = "oci") -> str:
    """Return the media type of a layer with the compression `none`, `gzip` or `zstd`, in an `oci` or `docker` image.

    Raises InvalidValueError.
    """
    try:
        if image_format == "docker":
            return _DOCKER_LAYERS[layer_format]
        return OCI_LAYER + _OCI_SUFFIXES[layer_format]
    except KeyError:
        raise InvalidValueError(f"no layer media type for {layer_format!r} in a {image_format} image") from None


def layer_in_format(media_type: str, image_format: str) -> str:
    """Return the media type that a layer has in an `oci` or a `docker` image. Raises InvalidValueError for none."""
    names = _TO_DOCKER if image_format == "docker" else _TO_OCI
    if media_type in names.values():
        return media_type
    try:
        return names[media_type]
    except KeyError:
        raise InvalidValueError(
            f"a {image_format} image cannot have a layer with the media type '{printable(media_type, 100)}'",
            hint="keep the format of the image that the layer comes from",
        ) from None


def is_layer(media_type: str) -> bool:
    """Return whether this is the type of an image's layer, also with a suffix for an encryption or a compression."""
    return media_type.startswith((OCI_LAYER, DOCKER_LAYER)) or is_foreign(media_type)


def is_foreign(media_type: str) -> bool:
    """Return whether a layer of this type need not be pushed (image spec, layer.md, "Non-Distributable Layers")."""
    return ".nondistributable." in media_type or ".foreign." in media_type
