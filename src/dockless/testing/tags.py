"""Tags and referrers (distribution spec, "Content Discovery"), and the repositories of a registry."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, quote_plus

from dockless.errors import InvalidDocumentError
from dockless.oci.canonical_json import parse_document
from dockless.oci.media_types import OCI_INDEX
from dockless.testing.blobs import parse_digest
from dockless.testing.content import Storage, StoredManifest
from dockless.testing.message import ApiError, Request, Response, parse_number
from dockless.testing.profiles import Profile
from dockless.testing.routes import Route

# The entries of a page of the catalog, and the most that a client may request.
_CATALOG_PAGE = 100
_CATALOG_MAXIMUM = 1000
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}\Z")


def list_tags(storage: Storage, profile: Profile, request: Request, route: Route) -> Response:
    """Answer GET of the tags of a repository."""
    tags = sorted(storage.tags(route.repository))
    if route.repository not in storage.repositories() or (profile.untagged_unknown and not tags):
        raise ApiError(404, "NAME_UNKNOWN", "repository name not known to registry", detail={"name": route.repository})
    headers = {}
    if profile.tag_pages:
        text = request.query.get("n")
        requested = parse_number(text or "")
        if text is not None and requested is None:
            raise ApiError(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", detail={"n": text})
        most = profile.tag_page_maximum or len(tags)
        count = most if requested is None else min(requested, most)
        last = request.query.get("last")
        if last is not None:
            tags = [tag for tag in tags if tag > last]
        if 0 < count < len(tags):
            query = f"n={count}&last={quote(tags[count - 1])}"
            headers["Link"] = f'</v2/{route.repository}/tags/list?{query}>; rel="next"'
        tags = tags[:count]
    return Response.of_json(200, {"name": route.repository, "tags": tags}, headers)


def list_repositories(names: Iterable[str], request: Request) -> Response:
    """Answer GET of the repositories, as docker-registry 2.8.2 does ("Listing Repositories" of its HTTP API V2)."""
    # A repository is followed by those below it.
    parts = sorted(name.split("/") for name in names)
    number = _INTEGER.match(request.query.get("n") or "")
    requested = int(number[0]) if number else -1
    if requested > _CATALOG_MAXIMUM:
        raise ApiError(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", detail={"n": requested})
    count = requested if requested >= 0 else _CATALOG_PAGE
    last = request.query.get("last")
    if last:
        parts = [each for each in parts if each > last.split("/")]
    page = ["/".join(each) for each in parts[:count]]
    headers = {}
    if page and len(page) < len(parts):
        headers["Link"] = f'</v2/_catalog?last={quote_plus(page[-1])}&n={count}>; rel="next"'
    return Response.of_json(200, {"repositories": page}, headers)


def list_referrers(storage: Storage, profile: Profile, request: Request, route: Route) -> Response:
    """Answer GET of the referrers of a digest."""
    if profile.referrers != 200:
        return Response.make(profile.referrers, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")
    subject = parse_digest(route.reference)
    found = [
        _descriptor(manifest)
        for _, manifest in sorted(storage.manifests(route.repository).items())
        if subject_of(manifest) == subject
    ]
    headers = {"Content-Type": OCI_INDEX}
    artifact_type = request.query.get("artifactType")
    if artifact_type:
        found = [descriptor for descriptor in found if descriptor.get("artifactType") == artifact_type]
        headers["OCI-Filters-Applied"] = "artifactType"
    return Response.of_json(200, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}, headers)


def subject_of(manifest: StoredManifest) -> str:
    """Return the digest of the manifest's subject, or an empty string."""
    return str(_objects_of(manifest)["subject"].get("digest", ""))


def _objects_of(manifest: StoredManifest) -> dict[str, Any]:
    """Return the document, with `subject` and `config` as objects: a test may have stored an invalid document."""
    try:
        document = parse_document(manifest.raw, "manifest")
    except InvalidDocumentError:
        document = {}
    return {**document, **{key: _object(document.get(key)) for key in ("subject", "config")}}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _descriptor(manifest: StoredManifest) -> dict[str, Any]:
    document = _objects_of(manifest)
    kind = document.get("artifactType") or document["config"].get("mediaType")
    found: dict[str, Any] = {
        "mediaType": manifest.media_type,
        "digest": str(manifest.digest),
        "size": len(manifest.raw),
    }
    if kind:
        found["artifactType"] = kind
    if document.get("annotations"):
        found["annotations"] = document["annotations"]
    return found
