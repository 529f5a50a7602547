"""Image manifests and indexes: documents whose bytes are their identity.

OCI image spec, manifest.md and image-index.md; Docker's image manifest, version 2, schema 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dockless.errors import InvalidDocumentError
from dockless.oci import media_types
from dockless.oci.canonical_json import parse_document, write_document
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.platform import Platform


class Manifest(NamedTuple):
    """One image: its config and its layers, lowest first. `raw` is what is hashed, stored and sent."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @classmethod
    def from_bytes(cls, raw: bytes, what: str, *, media_type: str = "") -> Manifest:
        """`raw` read and checked; `media_type` is what it was served or described as. Raises InvalidDocumentError."""
        found = parse_manifest(raw, what, media_type=media_type)
        if not isinstance(found, Manifest):
            raise InvalidDocumentError(f"{what} is an index, not an image manifest")
        return found

    @property
    def json(self) -> dict[str, Any]:
        """The document, parsed anew: change it freely."""
        return parse_document(self.raw, "manifest")

    @property
    def digest(self) -> Digest:
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.raw))


class Index(NamedTuple):
    """Several images, mostly one a platform. `raw` is what is hashed, stored and sent."""

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]

    @classmethod
    def from_bytes(cls, raw: bytes, what: str, *, media_type: str = "") -> Index:
        """`raw` read and checked; `media_type` is what it was served or described as. Raises InvalidDocumentError."""
        found = parse_manifest(raw, what, media_type=media_type)
        if not isinstance(found, Index):
            raise InvalidDocumentError(f"{what} is an image manifest, not an index")
        return found

    @property
    def json(self) -> dict[str, Any]:
        """The document, parsed anew: change it freely."""
        return parse_document(self.raw, "index")

    @property
    def digest(self) -> Digest:
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.raw))

    def select(self, wanted: Platform, what: str) -> Descriptor:
        """The first manifest that serves `wanted`; InvalidDocumentError lists the platforms there are."""
        for child in self.manifests:
            if child.platform is not None and child.platform.matches(wanted):
                return child
        # buildkit's attestations are listed as unknown/unknown: they are no platform to offer.
        there = sorted(str(c.platform) for c in self.manifests if c.platform and c.platform.os != "unknown")
        raise InvalidDocumentError(
            f"{what} has no image for {wanted}", cause=f"it has {', '.join(there) or 'none at all'}"
        )


def parse_manifest(raw: bytes, what: str, *, media_type: str = "") -> Manifest | Index:
    """The manifest or index in `raw`. `media_type` is what it was served or described as.

    That serves where the document says none. A document that says another type than it was served as, or that reads
    as both kinds, is refused (CVE-2021-41190).
    """
    found = parse_document(raw, what)
    kind = _media_type(found, media_type.split(";")[0].strip(), what)
    if kind in media_types.INDEXES:
        return Index(raw, kind, _descriptors(found, "manifests", what))
    if found.get("artifactType") and "config" not in found:
        raise InvalidDocumentError(f"{what} is an artifact, not an image")
    return Manifest(
        raw, kind, Descriptor.from_json(found.get("config"), f"{what}: config"), _descriptors(found, "layers", what)
    )


def make_manifest(
    config: Descriptor,
    layers: Sequence[Descriptor],
    *,
    image_format: str = "oci",
    annotations: Mapping[str, str] | None = None,
    start: Mapping[str, Any] | None = None,
) -> Manifest:
    """A manifest of our own, in canonical bytes. `annotations` are merged into those of `start`.

    `start` is the document whose other keys it keeps: that of the image it was made from.
    """
    media_type = media_types.DOCKER_MANIFEST if image_format == "docker" else media_types.OCI_MANIFEST
    document: dict[str, Any] = {
        **(start or {}),
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    if annotations:
        document["annotations"] = {**(document.get("annotations") or {}), **annotations}
    return Manifest(write_document(document), media_type, config, tuple(layers))


def make_index(
    manifests: Sequence[Descriptor], *, image_format: str = "oci", annotations: Mapping[str, str] | None = None
) -> Index:
    """An index of our own, in canonical bytes."""
    media_type = media_types.DOCKER_INDEX if image_format == "docker" else media_types.OCI_INDEX
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [manifest.to_json() for manifest in manifests],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return Index(write_document(document), media_type, tuple(manifests))


def _media_type(found: dict[str, Any], served_as: str, what: str) -> str:
    said = found.get("mediaType")
    if said is not None and not isinstance(said, str):
        raise InvalidDocumentError(f"{what} has a mediaType that is not a string")
    schema = found.get("schemaVersion")
    if schema == 1 or served_as in (media_types.DOCKER_SCHEMA1, media_types.DOCKER_SCHEMA1_SIGNED):
        raise InvalidDocumentError(
            f"{what} is a Docker schema 1 manifest",
            cause=f"{media_types.DOCKER_SCHEMA1_SIGNED} is not supported",
            hint="push the image again with a tool of after 2017",
        )
    if schema != 2:
        raise InvalidDocumentError(f"{what} is not a manifest", cause="its schemaVersion is not 2")
    if "layers" in found and "manifests" in found:
        raise InvalidDocumentError(
            f"{what} reads as a manifest and as an index", cause="it has both layers and manifests"
        )
    known = media_types.MANIFESTS | media_types.INDEXES
    # A registry that stores bytes without knowing them may serve them as plain JSON: then the document decides.
    served = served_as if served_as in known else ""
    if said and served and said != served:
        raise InvalidDocumentError(f"{what} says it is {said}", cause=f"it was served as {served}")
    kind = said or served
    if not kind:
        # umoci 0.4 and others write no mediaType, which OCI allows.
        kind = media_types.OCI_INDEX if "manifests" in found else media_types.OCI_MANIFEST
    if kind not in known:
        raise InvalidDocumentError(f"{what} is of the unknown type {kind}")
    if (kind in media_types.INDEXES) != ("manifests" in found):
        raise InvalidDocumentError(f"{what} says it is {kind}", cause="its content is of the other kind")
    return kind


def _descriptors(found: dict[str, Any], key: str, what: str) -> tuple[Descriptor, ...]:
    items: Any = found.get(key)
    if not isinstance(items, list):
        raise InvalidDocumentError(f"{what} has no list of {key}")
    return tuple(Descriptor.from_json(item, f"{what}: {key}[{n}]") for n, item in enumerate(items))
