"""Tags and referrers: what a repository says of its manifests (distribution spec, "Content Discovery")."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from dockless.media_types import OCI_INDEX
from dockless.testing.blobs import parse_digest
from dockless.testing.content import Storage, StoredManifest
from dockless.testing.message import ApiError, Request, Response
from dockless.testing.profiles import Profile
from dockless.testing.routes import Route


def list_tags(storage: Storage, profile: Profile, request: Request, route: Route) -> Response:
    tags = sorted(storage.tags(route.repository))
    if route.repository not in storage.repositories() or (profile.untagged_unknown and not tags):
        raise ApiError(404, "NAME_UNKNOWN", "repository name not known to registry", detail={"name": route.repository})
    headers = {}
    if profile.tag_pages:
        text = request.query.get("n")
        if text is not None and not text.isdigit():
            raise ApiError(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", detail={"n": text})
        most = profile.tag_page_maximum or len(tags)
        count = min(int(text), most) if text is not None else most
        last = request.query.get("last")
        if last is not None:
            tags = [tag for tag in tags if tag > last]
        if 0 < count < len(tags):
            query = f"n={count}&last={quote(tags[count - 1])}"
            headers["Link"] = f'</v2/{route.repository}/tags/list?{query}>; rel="next"'
        tags = tags[:count]
    return Response.of_json(200, {"name": route.repository, "tags": tags}, headers)


def list_referrers(storage: Storage, profile: Profile, request: Request, route: Route) -> Response:
    if profile.referrers != 200:
        return Response.make(profile.referrers, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")
    subject = parse_digest(route.reference)
    found = [
        _descriptor(manifest)
        for _, manifest in sorted(storage.manifests(route.repository).items())
        if subject_of(manifest) == subject
    ]
    headers = {"Content-Type": OCI_INDEX}
    wanted = request.query.get("artifactType")
    if wanted:
        found = [descriptor for descriptor in found if descriptor.get("artifactType") == wanted]
        headers["OCI-Filters-Applied"] = "artifactType"
    return Response.of_json(200, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": found}, headers)


def subject_of(manifest: StoredManifest) -> str:
    subject = json.loads(manifest.raw).get("subject")
    return str(subject.get("digest", "")) if isinstance(subject, dict) else ""


def _descriptor(manifest: StoredManifest) -> dict[str, Any]:
    document = json.loads(manifest.raw)
    kind = document.get("artifactType") or (document.get("config") or {}).get("mediaType")
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
