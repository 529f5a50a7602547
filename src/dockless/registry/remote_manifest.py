"""Manifests and indexes as registries serve and accept them."""

from __future__ import annotations

from typing import Any, NamedTuple

from dockless.errors import InvalidDocumentError, InvalidValueError
from dockless.oci import media_types
from dockless.oci.canonical_json import DEFAULT_LIMIT, parse_document
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, Manifest, parse_any_manifest, parse_manifest
from dockless.registry.errors import ProtocolError

# docker-registry serves OCI media types only if they are named.
ACCEPT = ", ".join(
    (
        media_types.OCI_INDEX,
        media_types.DOCKER_INDEX,
        media_types.OCI_MANIFEST,
        media_types.DOCKER_MANIFEST,
        *sorted(media_types.ARTIFACTS),
        "*/*;q=0.1",
    )
)


class RemoteManifest(NamedTuple):
    """A manifest or index as a registry sent it."""

    raw: bytes
    media_type: str
    digest: Digest

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of `raw`."""
        return Descriptor(self.media_type, self.digest, len(self.raw))

    def parse(self, label: str) -> Manifest | Index:
        """Return the parsed document; `label` names it in errors. Raises InvalidDocumentError."""
        return parse_manifest(self.raw, label, media_type=self.media_type)


def known_type(raw: bytes, content_type: str, label: str) -> str:
    """Return the media type of a manifest: `content_type` if it is one of a manifest, else that of the document.

    A document that is not a manifest has `content_type`: `parse` rejects it, callers that need only the bytes do not.
    """
    if content_type in media_types.DOCUMENTS:
        return content_type
    try:
        declared = parse_any_manifest(raw, label).media_type
    except InvalidDocumentError:
        if not content_type:
            raise
        return content_type
    return declared if declared in media_types.DOCUMENTS else content_type or declared


def check_json(raw: bytes, label: str, *, limit: int = DEFAULT_LIMIT) -> dict[str, Any]:
    """Return the JSON document that a registry sent. Raises ProtocolError, which leads to a second attempt.

    The end of the connection is the end of some responses: nothing else shows that a part is missing.
    """
    try:
        return parse_document(raw, label, limit=limit)
    except InvalidDocumentError as error:
        raise ProtocolError(error.problem, cause=error.cause, hint=error.hint, reason="invalid document") from None


def check_manifest_size(raw: bytes, repository: str) -> None:
    """Raise InvalidValueError for a manifest that registries reject, before anything is uploaded for it."""
    if len(raw) > DEFAULT_LIMIT:
        raise InvalidValueError(
            f"the manifest for {repository} has {len(raw)} bytes",
            cause=f"registries accept at most {DEFAULT_LIMIT}",
            hint="shorten its annotations",
        )
