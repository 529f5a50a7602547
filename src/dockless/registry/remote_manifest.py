"""Manifests and indexes as registries serve and take them."""

from __future__ import annotations

from typing import NamedTuple

from dockless.errors import InvalidDocument, InvalidValue
from dockless.oci import media_types
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, Manifest, parse_manifest

_KNOWN = media_types.MANIFESTS | media_types.INDEXES

# docker-registry serves OCI types only to those who name them.
ACCEPT = ", ".join(
    (
        media_types.OCI_INDEX,
        media_types.DOCKER_INDEX,
        media_types.OCI_MANIFEST,
        media_types.DOCKER_MANIFEST,
        "*/*;q=0.1",
    )
)


class RemoteManifest(NamedTuple):
    """A manifest or index as a registry served it."""

    raw: bytes
    media_type: str
    digest: Digest

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of `raw`."""
        return Descriptor(self.media_type, self.digest, len(self.raw))

    def parse(self, what: str) -> Manifest | Index:
        """The document; `what` names it in errors. Raises InvalidDocument."""
        return parse_manifest(self.raw, what, media_type=self.media_type)


def known_type(raw: bytes, served_as: str, what: str) -> str:
    """Its media type: as it was served, else as the document says; as it was served if that is no image's.

    What is not an image's manifest is for `parse` to refuse, not for who only wants its bytes.
    """
    if served_as in _KNOWN:
        return served_as
    try:
        return parse_manifest(raw, what).media_type
    except InvalidDocument:
        if not served_as:
            raise
        return served_as


def check_manifest_size(raw: bytes, where: str) -> None:
    """Raises InvalidValue for a manifest that registries refuse: before anything is uploaded for it."""
    if len(raw) > DEFAULT_LIMIT:
        raise InvalidValue(
            f"the manifest for {where} has {len(raw)} bytes",
            cause=f"registries take at most {DEFAULT_LIMIT}",
            hint="shorten its annotations",
        )
