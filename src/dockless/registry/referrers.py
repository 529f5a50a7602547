"""What refers to a manifest: signatures, SBOMs, attestations (distribution spec, "Listing Referrers").

Registries without that API (docker-registry, GHCR) keep an index under a tag made of the digest, which clients write
("Referrers Tag Schema").
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from dockless.oci import media_types
from dockless.oci.canonical_json import parse_document
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, make_index
from dockless.oci.reference import check_repository
from dockless.registry.errors import ResponseError, Unexpected
from dockless.registry.listing import pages

if TYPE_CHECKING:
    from dockless.registry.client import RegistryClient

# Of a registry that does not know the API.
_UNKNOWN = frozenset((400, 404, 405, 501))


def list_referrers(
    client: RegistryClient, repository: str, digest: Digest, artifact_type: str = ""
) -> tuple[Descriptor, ...]:
    """See RegistryClient.referrers."""
    found = _by_api(client, repository, digest, artifact_type)
    if found is None:
        found = _by_tag(client, repository, digest)
    # A registry need not filter; one that does says so, and filtering again changes nothing.
    return tuple(d for d in found if not artifact_type or d.artifact_type == artifact_type)


def register_referrer(client: RegistryClient, repository: str, raw: bytes, media_type: str) -> None:
    """Has `referrers` find the manifest `raw`, which was pushed, where the registry does not see to it itself.

    Nothing for one without a subject. Two at the same time may lose one of them, as the specification admits.
    """
    what = f"the manifest {Digest.of(raw)}"
    document = parse_document(raw, what)
    if document.get("subject") is None:
        return
    subject = Descriptor.from_json(document["subject"], f"{what}: subject").digest
    if _by_api(client, repository, subject) is not None:
        return
    config = document.get("config")
    kind = document.get("artifactType") or (config.get("mediaType") if isinstance(config, dict) else "") or ""
    mine = Descriptor(
        media_type, Digest.of(raw), len(raw), annotations=document.get("annotations"), artifact_type=str(kind)
    )
    there = _by_tag(client, repository, subject)
    if all(other.digest != mine.digest for other in there):
        index = make_index([*there, mine])
        client.put_manifest(repository, _tag(subject), index.raw, media_types.OCI_INDEX)


def _by_api(
    client: RegistryClient, repository: str, digest: Digest, artifact_type: str = ""
) -> tuple[Descriptor, ...] | None:
    """None where the registry has no such API."""
    query = "?" + urlencode({"artifactType": artifact_type}) if artifact_type else ""
    path = f"/v2/{check_repository(repository)}/referrers/{digest}{query}"
    what = f"the referrers of {digest}"
    found: list[Descriptor] = []
    try:
        for document in pages(client, repository, path, what):
            found += Index.from_bytes(json.dumps(document).encode(), what).manifests
    except ResponseError as error:
        if error.status not in _UNKNOWN:
            raise
        return None
    return tuple(found)


def _by_tag(client: RegistryClient, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
    tag = _tag(digest)
    try:
        found = client.get_manifest(repository, tag).parse(f"{repository}:{tag}")
    except ResponseError as error:
        if error.status == 404:
            return ()
        raise
    if not isinstance(found, Index):
        raise Unexpected(f"{client.registry}/{repository}:{tag} should list referrers, and is no index")
    return found.manifests


def _tag(digest: Digest) -> str:
    return f"{digest.algorithm}-{digest.hex}"
