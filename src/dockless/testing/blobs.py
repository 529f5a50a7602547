"""Blobs: GET, HEAD with ranges, DELETE (distribution spec, "Pulling blobs", "Deleting Blobs")."""

from __future__ import annotations

import re
from typing import BinaryIO

from dockless.errors import InvalidValueError
from dockless.oci.digest import Digest
from dockless.testing.content import Storage
from dockless.testing.message import ApiError, Request, Response
from dockless.testing.profiles import Profile
from dockless.testing.routes import Route

_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})\Z")


class Blobs:
    """The blob operations. `store_address` is the address of the object store to which blobs are redirected."""

    def __init__(self, storage: Storage, profile: Profile) -> None:
        self._storage = storage
        self._profile = profile
        self.store_address = ("", 0)

    def get(self, request: Request, route: Route) -> Response:
        """Handle GET and HEAD; the body is omitted when the response to HEAD is sent."""
        digest, size = self._find(route)
        if self._profile.blob_redirect and request.method == "GET":
            # The query simulates a signature; the other host rejects an additional Authorization header.
            url = f"{self._store_origin(request)}/storage/{route.repository}/{digest}?X-Signature=c2lnbmVk"
            return Response.make(self._profile.blob_redirect, {"Location": url})
        return serve_range(request, self._storage.open_blob(route.repository, digest), digest, size, self._profile)

    def fetch(self, request: Request, route: Route) -> Response:
        """Serve the object store, which rejects a second kind of authentication, as S3 does."""
        if request.header("Authorization"):
            return Response.make(
                400,
                {"Content-Type": "application/xml"},
                b"<Error><Code>InvalidArgument</Code>"
                b"<Message>Only one auth mechanism allowed; remove the Authorization header</Message></Error>",
            )
        # The signature is only valid for GET, as in S3.
        if request.method != "GET" or request.query.get("X-Signature") != "c2lnbmVk":
            return Response.make(403, {"Content-Type": "application/xml"}, b"<Error><Code>AccessDenied</Code></Error>")
        repository, _, reference = route.reference.rpartition("/")
        if repository not in self._storage.repositories():
            raise ApiError(404, "NAME_UNKNOWN", "repository name not known to registry")
        digest, size = self._find(Route("blob", "GET", repository, reference))
        return serve_range(request, self._storage.open_blob(repository, digest), digest, size, self._profile)

    def delete(self, request: Request, route: Route) -> Response:
        """Answer DELETE of a blob."""
        if not self._profile.delete_blobs:
            raise unsupported()
        digest, _ = self._find(route)
        self._storage.delete_blob(route.repository, digest)
        return Response.make(202)

    def _store_origin(self, request: Request) -> str:
        """Return the object store's host, which differs from the registry's, as with hosted registries.

        A different port is not enough: curl and Dockless do not send credentials to another port, but Go's net/http
        compares only host names.
        """
        scheme, _, host = request.origin.partition("://")
        name = re.sub(r":[0-9]+\Z", "", host)
        address, port = self.store_address
        if name == "localhost":
            name = "[::1]" if ":" in address else "127.0.0.1"
        elif name == "[::1]" or name.startswith("127."):
            name = "localhost"
        return f"{scheme}://{name}:{port}"

    def _find(self, route: Route) -> tuple[Digest, int]:
        digest = parse_digest(route.reference)
        size = self._storage.blob_size(route.repository, digest)
        if size is None:
            raise ApiError(404, "BLOB_UNKNOWN", "blob unknown to registry", detail=str(digest))
        return digest, size


def serve_range(request: Request, content: BinaryIO, digest: Digest, size: int, profile: Profile) -> Response:
    """Return `content`, or the requested range (RFC 9110, 14). Several ranges return the whole content."""
    headers = {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(digest),
        "Accept-Ranges": "bytes",
        "ETag": f'"{digest}"',
    }
    requested = request.header("Range")
    if not requested or "," in requested:
        return Response(200, tuple(headers.items()), content, size)
    found = _RANGE.match(requested)
    first, last = (found["first"], found["last"]) if found else ("", "")
    if first:
        start, end = int(first), min(int(last or size), size - 1)
    else:
        # A suffix of the content; an invalid range has no bytes.
        start, end = (max(size - int(last), 0) if last else size), size - 1
    if start > end:
        content.close()
        if profile.bad_range_lies:
            # docker-registry 2.8 has already sent the head for the whole blob, and sends no body.
            return Response(416, (*headers.items(), ("Content-Length", str(size)), ("Connection", "close")))
        raise ApiError(416, "RANGE_INVALID", "the range cannot be served", headers={"Content-Range": f"bytes */{size}"})
    content.seek(start)
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Response(206, tuple(headers.items()), content, end - start + 1)


def parse_digest(text: str) -> Digest:
    """Parse a digest. Raises ApiError."""
    try:
        return Digest(text)
    except InvalidValueError:
        raise ApiError(400, "DIGEST_INVALID", "provided digest is not a sha256 digest", detail=text) from None


def unsupported() -> ApiError:
    """Return the error for an operation that the registry does not have."""
    return ApiError(405, "UNSUPPORTED", "The operation is unsupported.")
