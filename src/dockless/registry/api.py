"""The endpoints of the OCI distribution spec: one request each, verified, and never repeated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from dockless.errors import InvalidValueError, printable
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.digest import Digest
from dockless.oci.reference import check_repository, check_tag
from dockless.registry.auth.scopes import CATALOG, DELETE, PULL, PUSH, scope
from dockless.registry.errors import ProtocolError
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.web_page import check_no_page
from dockless.registry.registry_session import RegistrySession
from dockless.registry.remote_manifest import ACCEPT, RemoteManifest, check_json, known_type
from dockless.registry.upload_session import SUCCESS, UploadSession

_EMPTY = Digest.of(b"")
_DELETED = (200, 202, 204)
# Bytes that show whether a response is a web page.
_PAGE_START = 4096


class ManifestHead(NamedTuple):
    """Whether a manifest exists, and the digest that the registry names for it, if it does."""

    exists: bool
    digest: Digest | None = None


class StoredManifest(NamedTuple):
    """The response to a stored manifest: its status, and the header Docker-Content-Digest."""

    status: int
    digest: str


class RegistryApi:
    """The endpoints of one registry. Each method sends one request (and those that authorization takes).

    `version` is a tag or a digest. `actions` are those of the token that is requested: a push asks for one token that
    covers all its requests. Raises RegistryError, and InvalidValueError for invalid names.
    """

    def __init__(self, session: RegistrySession) -> None:
        self.session = session
        self.registry = session.registry
        # Whether the registry refused the content of a blob in a PUT, and accepted the content in a PATCH. Uploads of
        # the same client then begin with PATCH.
        self.put_refuses_content = False

    @property
    def base_url(self) -> str:
        """Scheme and host of the registry."""
        return self.session.base_url

    def ping(self) -> None:
        """Check that this is a registry, and that the credentials are valid (spec, "Determining Support")."""
        self.session.request("GET", "/v2/", (), expect=(200,)).close()

    def get_manifest(self, repository: str, version: str, *, actions: str = PULL) -> RemoteManifest:
        """Return a manifest or index, whose digest is verified."""
        requested = digest_or_tag(version)
        path = _manifest_path(repository, version)
        response = self._request("GET", path, repository, actions=actions, headers={"Accept": ACCEPT})
        raw = response.read(DEFAULT_LIMIT, f"the manifest {version}")
        digest = Digest.of(raw)
        label = f"{self.registry}/{repository}{'@' if ':' in version else ':'}{version}"
        check_no_page(raw, label)
        if isinstance(requested, Digest) and digest != requested:
            raise ProtocolError(
                f"{label} is another manifest than was requested",
                cause=f"requested the digest {requested}, received {digest}",
                hint="do not use it: the registry, or a proxy in front of it, changed the manifest",
                reason="damaged manifest",
            )
        named = response.header("Docker-Content-Digest")
        if named.startswith("sha256:") and named != digest:
            raise ProtocolError(
                f"{label} does not have the digest that the registry names",
                cause=f"the header names {printable(named, 80)}, the content has {digest}",
                reason="damaged manifest",
            )
        if not isinstance(requested, Digest) and not named.startswith("sha256:"):
            # Nothing else would show that the end of the document is missing.
            check_json(raw, label)
        media_type = response.header("Content-Type").partition(";")[0].strip()
        return RemoteManifest(raw, known_type(raw, media_type, label), digest)

    def head_manifest(self, repository: str, version: str, *, actions: str = PULL) -> ManifestHead:
        """Return whether a manifest exists, and its digest according to the registry, which is not verified."""
        digest_or_tag(version)
        response = self._request(
            "HEAD",
            _manifest_path(repository, version),
            repository,
            actions=actions,
            expect=(200, 404),
            headers={"Accept": ACCEPT},
        )
        response.close()
        if response.status == 404:
            return ManifestHead(False)
        try:
            return ManifestHead(True, Digest(response.header("Docker-Content-Digest")))
        except InvalidValueError:
            return ManifestHead(True)

    def put_manifest(self, repository: str, version: str, raw: bytes, media_type: str) -> StoredManifest:
        """Store a manifest or index."""
        response = self._request(
            "PUT",
            _manifest_path(repository, version),
            repository,
            actions=PUSH,
            expect=SUCCESS,
            headers={"Content-Type": media_type},
            body=raw,
        )
        response.close()
        return StoredManifest(response.status, response.header("Docker-Content-Digest"))

    def delete_manifest(self, repository: str, version: str, *, may_be_absent: bool = False) -> None:
        """Delete a manifest or a tag."""
        digest_or_tag(version)
        self._delete(_manifest_path(repository, version), repository, may_be_absent)

    def head_blob(self, repository: str, digest: Digest, *, actions: str = PULL) -> int | None:
        """Return the size of a blob in bytes, -1 if the response has no size; None if the blob does not exist."""
        path = _blob_path(repository, digest)
        response = self._request("HEAD", path, repository, actions=actions, expect=(200, 404))
        response.close()
        if response.status == 404:
            return None
        return response.length if response.length or digest == _EMPTY else -1

    def get_blob(self, repository: str, digest: Digest, start: int = 0, stop: int | None = None) -> HttpResponse:
        """Return a response with the bytes of a blob from `start` up to, but not including, `stop` (None: its end).

        Its status is 206 for a part, or 200 if the registry does not support ranges. The content is not verified.
        """
        is_part = bool(start) or stop is not None
        headers = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if is_part else {}
        path = _blob_path(repository, digest)
        return self._request("GET", path, repository, expect=(200, 206), headers=headers)

    def delete_blob(self, repository: str, digest: Digest, *, may_be_absent: bool = False) -> None:
        """Delete a blob."""
        self._delete(_blob_path(repository, digest), repository, may_be_absent)

    def upload_session(self, repository: str) -> UploadSession:
        """Return an upload session that is not opened yet."""
        return UploadSession(self.session, check_repository(repository))

    def get_page(self, repository: str, path: str) -> HttpResponse:
        """Return a page of a listing. `path` is a path of the registry, or the URL of a following page."""
        return self._request("GET", path, repository)

    def get_catalog_page(self, path: str) -> HttpResponse:
        """Return a page of the list of repositories. `path` is a path of the registry, or the URL of a later page."""
        return self.session.request("GET", path, (CATALOG,), expect=(200,))

    def _request(
        self,
        method: str,
        path: str,
        repository: str,
        *,
        actions: str = PULL,
        expect: Collection[int] = (200,),
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> HttpResponse:
        scopes = (scope(check_repository(repository), actions),)
        return self.session.request(method, path, scopes, expect=expect, headers=headers, body=body)

    def _delete(self, path: str, repository: str, may_be_absent: bool) -> None:
        expect = (*_DELETED, 404) if may_be_absent else _DELETED
        response = self._request("DELETE", path, repository, actions=DELETE, expect=expect)
        if response.status == 200:
            check_no_page(response.read_start(_PAGE_START), f"the response to DELETE {path}")
        response.close()


def digest_or_tag(version: str) -> Digest | str:
    """Return `version` as a digest or a tag. Raises InvalidValueError."""
    return Digest(version) if isinstance(version, str) and ":" in version else check_tag(version)


def _manifest_path(repository: str, version: str) -> str:
    return f"/v2/{repository}/manifests/{version}"


def _blob_path(repository: str, digest: Digest) -> str:
    return f"/v2/{repository}/blobs/{digest}"
