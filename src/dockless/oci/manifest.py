"""Image manifests and indexes: documents whose bytes are their identity.

OCI image spec, manifest.md and image-index.md; Docker's image manifest, version 2, schema 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Union

from dockless.errors import InvalidDocumentError
from dockless.oci import media_types
from dockless.oci.canonical_json import parse_document, write_document
from dockless.oci.descriptor import Descriptor, UnsupportedEntry, string_map
from dockless.oci.digest import Digest

# Layers of a manifest, and manifests of an index. The largest seen have some hundreds.
MAX_DESCRIPTORS = 10_000
# URLs and annotations of all descriptors of a document, and characters of their properties that have no name here: they
# stay in memory for as long as the image is used.
_MAX_PROPERTIES = 100_000
_MAX_EXTRA = 256 * 1024
# How the names of media types begin that are not generic, such as application/json.
_VENDOR = "application/vnd."


class Manifest(NamedTuple):
    """An image manifest: config and layers, lowest layer first. `raw` is hashed, stored and sent as it is."""

    raw: bytes
    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]

    @classmethod
    def from_bytes(cls, raw: bytes, label: str, *, media_type: str = "") -> Manifest:
        """Parse `raw`, which was served or described as `media_type`. Raises InvalidDocumentError."""
        document = parse_manifest(raw, label, media_type=media_type)
        if not isinstance(document, Manifest):
            raise InvalidDocumentError(f"{label} is an index, not an image manifest")
        return document

    @property
    def json(self) -> dict[str, Any]:
        """A new copy of the JSON document."""
        return parse_document(self.raw, "manifest")

    @property
    def digest(self) -> Digest:
        """The digest of `raw`."""
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of `raw`."""
        return Descriptor(self.media_type, self.digest, len(self.raw))


class Index(NamedTuple):
    """An image index: several images, usually one for each platform. `raw` is hashed, stored and sent as it is.

    `unsupported` are the entries that Dockless cannot read.
    """

    raw: bytes
    media_type: str
    manifests: tuple[Descriptor, ...]
    unsupported: tuple[UnsupportedEntry, ...] = ()

    @classmethod
    def from_bytes(cls, raw: bytes, label: str, *, media_type: str = "") -> Index:
        """Parse `raw`, which was served or described as `media_type`. Raises InvalidDocumentError."""
        document = parse_manifest(raw, label, media_type=media_type)
        if not isinstance(document, Index):
            raise InvalidDocumentError(f"{label} is an image manifest, not an index")
        return document

    @property
    def json(self) -> dict[str, Any]:
        """A new copy of the JSON document."""
        return parse_document(self.raw, "index")

    @property
    def digest(self) -> Digest:
        """The digest of `raw`."""
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of `raw`."""
        return Descriptor(self.media_type, self.digest, len(self.raw))


class OtherManifest(NamedTuple):
    """A manifest that is neither that of an image nor an index. `raw` is hashed, stored and sent as it is.

    `blobs` are the blobs of an artifact manifest, and None for a manifest of an unknown media type.
    """

    raw: bytes
    media_type: str
    blobs: tuple[Descriptor, ...] | None

    @property
    def json(self) -> dict[str, Any]:
        """A new copy of the JSON document."""
        return parse_document(self.raw, "manifest")

    @property
    def digest(self) -> Digest:
        """The digest of `raw`."""
        return Digest.of(self.raw)

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of `raw`."""
        return Descriptor(self.media_type, self.digest, len(self.raw))

    def error(self, label: str) -> InvalidDocumentError:
        """Return the error for this manifest in the place of an image, which is called `label`."""
        if self.blobs is None:
            return InvalidDocumentError(
                f"{label} has the unknown mediaType {self.media_type}",
                cause="the blobs of such a manifest are not known",
            )
        return InvalidDocumentError(
            f"{label} is an artifact, not an image", cause=f"it is of the type {self.media_type}"
        )


AnyManifest = Union[Manifest, Index, OtherManifest]


def blobs_of(manifest: Manifest | OtherManifest) -> tuple[Descriptor, ...]:
    """Return the blobs that a manifest names."""
    return (manifest.config, *manifest.layers) if isinstance(manifest, Manifest) else manifest.blobs or ()


def parse_manifest(raw: bytes, label: str, *, media_type: str = "") -> Manifest | Index:
    """Parse an image manifest or an index. See `parse_any_manifest`.

    Raises InvalidDocumentError, also for an artifact manifest and for an unknown media type.
    """
    document = parse_any_manifest(raw, label, media_type=media_type)
    if isinstance(document, OtherManifest):
        raise document.error(label)
    return document


def parse_any_manifest(raw: bytes, label: str, *, media_type: str = "") -> AnyManifest:
    """Parse a manifest or an index, which was served or described as `media_type`; errors name it `label`.

    `media_type` is used if the document has no `mediaType`. As for readers in Go, null stands for an absent value, and
    an absent list is empty. Raises InvalidDocumentError, also for a document whose
    `mediaType` differs from `media_type` or that reads as both kinds (CVE-2021-41190), and for more than 10,000
    descriptors.
    """
    document = parse_document(raw, label)
    if not isinstance(media_type, str):
        raise InvalidDocumentError(f"{label} was served as {media_type!r:.100}, which is not a media type")
    kind = _media_type(document, media_type.split(";")[0].strip(), label)
    if kind not in media_types.DOCUMENTS:
        return OtherManifest(raw, kind, None)
    check_referrer(document, label)
    if kind in media_types.ARTIFACTS:
        return OtherManifest(raw, kind, _descriptors(_items(document, "blobs", label), "blobs", label))
    if kind in media_types.INDEXES:
        items = _items(document, "manifests", label)
        unsupported = [(item, UnsupportedEntry.from_json(item, f"{label}: manifests")) for item in items]
        return Index(
            raw,
            kind,
            # An entry that is null has no digest for readers in Go, which can use the other entries.
            _descriptors([None if other else item for item, other in unsupported], "manifests", label, skip_null=True),
            tuple(other for _, other in unsupported if other),
        )
    if document.get("artifactType") and document.get("config") is None:
        raise InvalidDocumentError(f"{label} is an artifact, not an image")
    if document.get("config") is None:
        raise InvalidDocumentError(f"{label} has no config")
    return Manifest(
        raw,
        kind,
        Descriptor.from_json(document.get("config"), f"{label}: config"),
        _descriptors(_items(document, "layers", label), "layers", label),
    )


def check_referrer(document: Mapping[str, Any], label: str) -> Descriptor | None:
    """Return the subject of a manifest or index, or None. Errors name the document `label`.

    Raises InvalidDocumentError for a subject, annotations or an artifact type of the wrong type. Clients copy the
    annotations and the artifact type to an index of referrers, which would be invalid with them.
    """
    if document.get("annotations") is not None:
        string_map(document["annotations"], f"{label}: annotations")
    if not isinstance(document.get("artifactType") or "", str):
        raise InvalidDocumentError(f"{label} has an artifactType that is not a string")
    subject = document.get("subject")
    return None if subject is None else Descriptor.from_json(subject, f"{label}: subject")


def make_manifest(
    config: Descriptor,
    layers: Sequence[Descriptor],
    *,
    image_format: str = "oci",
    annotations: Mapping[str, str] | None = None,
    start: Mapping[str, Any] | None = None,
) -> Manifest:
    """Return a new manifest in canonical bytes.

    `start` is the manifest of the base as JSON: its other keys are kept, and `annotations` are merged into its own.
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
    """Return a new index in canonical bytes."""
    media_type = media_types.DOCKER_INDEX if image_format == "docker" else media_types.OCI_INDEX
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [manifest.to_json() for manifest in manifests],
    }
    if annotations:
        document["annotations"] = dict(annotations)
    return Index(write_document(document), media_type, tuple(manifests))


def _media_type(document: dict[str, Any], served_as: str, label: str) -> str:
    declared = document.get("mediaType")
    if declared is not None and not isinstance(declared, str):
        raise InvalidDocumentError(f"{label} has a mediaType that is not a string")
    known = media_types.DOCUMENTS
    # A registry that does not know the media type may serve the document as plain JSON.
    served = served_as if served_as in known else ""
    schema = document.get("schemaVersion")
    if schema == 1 or served_as in (media_types.DOCKER_SCHEMA1, media_types.DOCKER_SCHEMA1_SIGNED):
        raise InvalidDocumentError(
            f"{label} is a Docker schema 1 manifest",
            cause=f"{media_types.DOCKER_SCHEMA1_SIGNED} is not supported",
            hint="push the image again with a current tool",
        )
    if declared and served and declared != served:
        raise InvalidDocumentError(f"{label} has the mediaType {declared}", cause=f"it was served as {served}")
    other = declared or served or (served_as if served_as.startswith(_VENDOR) and schema != 2 else "")
    if other in media_types.ARTIFACTS and any(document.get(key) is not None for key in ("layers", "manifests")):
        raise InvalidDocumentError(f"{label} has the mediaType {other}", cause="it has layers or manifests")
    if other and other not in media_types.MANIFESTS | media_types.INDEXES:
        return other
    if schema != 2:
        raise InvalidDocumentError(f"{label} is not a manifest", cause="its schemaVersion is not 2")
    is_manifest = any(document.get(key) is not None for key in ("config", "layers"))
    is_index = document.get("manifests") is not None
    if document.get("layers") is not None and is_index:
        raise InvalidDocumentError(
            f"{label} reads as a manifest and as an index", cause="it has both layers and manifests"
        )
    kind = declared or served
    if not kind:
        # umoci 0.4 and others omit mediaType, which OCI allows.
        is_index = is_index or (not is_manifest and "manifests" in document)
        kind = media_types.OCI_INDEX if is_index else media_types.OCI_MANIFEST
    if kind in media_types.INDEXES and is_manifest and not is_index:
        raise InvalidDocumentError(f"{label} has the mediaType {kind}", cause="its content is an image manifest")
    if kind not in media_types.INDEXES and is_index:
        raise InvalidDocumentError(f"{label} has the mediaType {kind}", cause="its content is an index")
    return kind


def _items(document: dict[str, Any], key: str, label: str) -> list[Any]:
    items: Any = document.get(key)
    if items is None:
        return []
    if not isinstance(items, list):
        raise InvalidDocumentError(f"{label} has no list of {key}")
    if len(items) > MAX_DESCRIPTORS:
        raise InvalidDocumentError(f"{label} has {len(items)} {key}", cause=f"the limit is {MAX_DESCRIPTORS}")
    return items


def _descriptors(items: list[Any], key: str, label: str, *, skip_null: bool = False) -> tuple[Descriptor, ...]:
    found = tuple(
        Descriptor.from_json(item, f"{label}: {key}[{n}]")
        for n, item in enumerate(items)
        if not (skip_null and item is None)
    )
    if (
        sum(len(item.urls) + len(item.annotations or ()) for item in found) > _MAX_PROPERTIES
        or sum(len(str(item.extra)) for item in found if item.extra) > _MAX_EXTRA
    ):
        raise InvalidDocumentError(
            f"{label} has too many properties in its {key}",
            cause=f"the limits are {_MAX_PROPERTIES} URLs and annotations, and {_MAX_EXTRA} characters of others",
        )
    return found
