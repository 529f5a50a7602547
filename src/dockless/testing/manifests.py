"""Manifests: GET, HEAD, PUT, DELETE (distribution spec, "Pulling manifests", "Pushing Manifests")."""

from __future__ import annotations

from typing import Any

from dockless._units import format_count
from dockless.errors import DocklessError, InvalidValueError
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, blobs_of, parse_any_manifest
from dockless.oci.media_types import DOCUMENTS, OCI_INDEX, OCI_MANIFEST
from dockless.oci.reference import check_tag
from dockless.testing.blobs import parse_digest, unsupported
from dockless.testing.content import Storage, StoredManifest
from dockless.testing.message import ApiError, Request, Response
from dockless.testing.profiles import Profile
from dockless.testing.routes import Route
from dockless.testing.tags import subject_of


class Manifests:
    """The manifest operations."""

    def __init__(self, storage: Storage, profile: Profile) -> None:
        self._storage = storage
        self._profile = profile

    def get(self, request: Request, route: Route) -> Response:
        """Handle GET and HEAD; the body is omitted when the response to HEAD is sent."""
        manifest = self._find(route)
        if not self._accepted(request, manifest.media_type):
            raise ApiError(404, "MANIFEST_UNKNOWN", f"the Accept header does not contain {manifest.media_type}")
        headers = {
            "Content-Type": manifest.media_type,
            "Docker-Content-Digest": str(manifest.digest),
            "ETag": f'"{manifest.digest}"',
        }
        return Response.make(200, headers, manifest.raw)

    def put(self, request: Request, route: Route) -> Response:
        """Answer PUT of a manifest."""
        raw = request.read_all(DEFAULT_LIMIT)
        if raw is None:
            raise ApiError(
                self._profile.too_large_status,
                "MANIFEST_INVALID" if self._profile.too_large_status == 400 else "SIZE_INVALID",
                "manifest invalid",
                detail=f"more than {DEFAULT_LIMIT} bytes",
            )
        manifest = StoredManifest(raw, request.header("Content-Type").split(";")[0].strip())
        tag = None if ":" in route.reference else _tag(route.reference)
        if tag is None and parse_digest(route.reference) != manifest.digest:
            raise ApiError(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        document = self._check(manifest, route.repository)
        if self._profile.immutable_tags and tag in self._storage.tags(route.repository):
            raise ApiError(400, "TAG_INVALID", f"The image tag '{tag}' already exists and cannot be overwritten")
        self._storage.put_manifest(route.repository, manifest, tag)
        headers = {
            "Location": f"/v2/{route.repository}/manifests/{manifest.digest}",
            "Docker-Content-Digest": str(manifest.digest),
        }
        if self._profile.absolute_locations:
            headers["Location"] = request.origin + headers["Location"]
        if document.get("subject") and self._profile.referrers == 200:
            headers["OCI-Subject"] = subject_of(manifest)
        return Response.make(201, headers)

    def delete(self, request: Request, route: Route) -> Response:
        """Answer DELETE of a manifest or a tag."""
        if not self._profile.delete_manifests:
            raise unsupported()
        if ":" not in route.reference and self._profile.delete_tags:
            if not self._storage.delete_tag(route.repository, _tag(route.reference)):
                raise ApiError(404, "MANIFEST_UNKNOWN", "manifest unknown", detail={"Tag": route.reference})
            return Response.make(202)
        if not self._storage.delete_manifest(route.repository, parse_digest(route.reference)):
            raise ApiError(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return Response.make(202)

    def _find(self, route: Route) -> StoredManifest:
        digest: Digest | None
        if ":" in route.reference:
            digest = parse_digest(route.reference)
        else:
            digest = self._storage.tags(route.repository).get(route.reference)
        found = self._storage.manifest(route.repository, digest) if digest else None
        if found is None:
            raise ApiError(404, "MANIFEST_UNKNOWN", "manifest unknown", detail={"Reference": route.reference})
        return found

    def _accepted(self, request: Request, media_type: str) -> bool:
        accept = request.header("Accept")
        named = [part.split(";")[0].strip() for part in accept.split(",")]
        if self._profile.accept == "oci-named":
            return media_type in named or media_type not in (OCI_MANIFEST, OCI_INDEX)
        if self._profile.accept == "ignored" or not accept:
            return True
        return any(name in (media_type, "*/*", media_type.split("/")[0] + "/*") for name in named)

    def _check(self, manifest: StoredManifest, repository: str) -> dict[str, Any]:
        """Return the document, if it is valid and the repository has the content that it names."""
        if manifest.media_type not in DOCUMENTS:
            raise _invalid(f"unknown Content-Type {manifest.media_type!r}")
        try:
            # The subject may be pushed later (spec, "Pushing Manifests with Subject").
            document = parse_any_manifest(manifest.raw, "the manifest", media_type=manifest.media_type)
        except DocklessError as error:
            raise _invalid(str(error)) from None
        if isinstance(document, Index):
            if document.unsupported:
                raise _blob_unknown(document.unsupported[0].digest)
            for descriptor in document.manifests:
                self._check_named(descriptor, repository, index=True)
        else:
            for descriptor in blobs_of(document):
                self._check_named(descriptor, repository, index=False)
        return document.json

    def _check_named(self, descriptor: Descriptor, repository: str, index: bool) -> None:
        size: int | None
        if index:
            child = self._storage.manifest(repository, descriptor.digest)
            # Like distribution, which BuildKit sends caches to: indexes that list layers.
            size = self._storage.blob_size(repository, descriptor.digest) if child is None else len(child.raw)
        else:
            size = self._storage.blob_size(repository, descriptor.digest)
            if size is None and descriptor.is_foreign:
                return
        if size is None:
            raise _blob_unknown(descriptor.digest)
        if self._profile.sizes_checked and size != descriptor.size:
            raise ApiError(
                400,
                "SIZE_INVALID",
                "provided length did not match content length",
                detail=f"{descriptor.digest} has {format_count(size, 'byte')}, not {descriptor.size}",
            )


def _tag(text: str) -> str:
    try:
        return check_tag(text)
    except InvalidValueError as error:
        raise ApiError(400, "TAG_INVALID", str(error)) from None


def _blob_unknown(digest: str) -> ApiError:
    return ApiError(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", detail=str(digest))


def _invalid(detail: str) -> ApiError:
    return ApiError(400, "MANIFEST_INVALID", "manifest invalid", detail=detail)
