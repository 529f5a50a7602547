"""A registry's operations, one to one with the OCI distribution spec, and `ensure_blob` above them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin

from dockless import media_types
from dockless.content import ContentSource
from dockless.descriptor import Descriptor
from dockless.digest import Digest
from dockless.document import DEFAULT_LIMIT, parse_document
from dockless.errors import InvalidValue, printable
from dockless.manifest import Index, Manifest, parse_manifest
from dockless.reference import check_registry, check_repository, check_tag
from dockless.registry.auth.credentials import Credentials
from dockless.registry.clock import Clock
from dockless.registry.errors import RegistryError, ResponseError, Unexpected
from dockless.registry.hosts import check_destination
from dockless.registry.retry import Retries, RetryPolicy
from dockless.registry.session import PULL, PUSH, Session, scope
from dockless.registry.transport import Answer
from dockless.registry.upload import BlobResult, upload_blob

_ACCEPT = ", ".join(
    (
        media_types.OCI_INDEX,
        media_types.DOCKER_INDEX,
        media_types.OCI_MANIFEST,
        media_types.DOCKER_MANIFEST,
        "*/*;q=0.1",
    )
)
_MAX_TAGS_PAGE = 8 * 1024 * 1024
_MAX_PAGES = 10_000
_LINK = re.compile(r'<([^>]*)>\s*;.*?\brel="?next"?', re.IGNORECASE)
_DELETE = "pull,push,delete"


class RemoteManifest(NamedTuple):
    """A manifest or index as a registry served it."""

    raw: bytes
    media_type: str
    digest: Digest

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(self.media_type, self.digest, len(self.raw))

    def parse(self, what: str) -> Manifest | Index:
        return parse_manifest(self.raw, what, media_type=self.media_type)


class RegistryClient:
    """One registry. Safe for threads; a context manager, which closes its connections.

    registry     host with its port; `docker.io` for Docker Hub
    credentials  who we are; by default found as `dockless.registry.auth.chain` says
    auth_file    a docker or podman config file to use instead of those in their usual places
    insecure     plain http is allowed and certificates are not checked; loopback hosts may speak plain http without it
    ca_file      a PEM file of the CAs to trust
    jobs         the most requests in flight at a time

    Everything raises RegistryError for what the registry does, and InvalidValue for names that break the grammar.
    """

    def __init__(
        self,
        registry: str,
        *,
        credentials: Credentials | None = None,
        auth_file: str | None = None,
        insecure: bool = False,
        ca_file: str | None = None,
        jobs: int = 4,
        clock: Clock | None = None,
        retry: RetryPolicy | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        if isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= 64:
            raise InvalidValue(f"jobs is {jobs!r}", hint="write a number from 1 to 64")
        self.registry = check_registry(registry)
        self.jobs = jobs
        self.clock = clock or Clock()
        self.policy = retry or RetryPolicy()
        self.session = Session(
            self.registry,
            credentials=credentials,
            auth_file=auth_file,
            insecure=insecure,
            ca_file=ca_file,
            jobs=jobs,
            clock=self.clock,
            environ=environ,
        )

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self.session.close()

    def retries(self) -> Retries:
        """A new count of attempts."""
        return Retries(self.policy, self.clock)

    def repeat(self, ask: Callable[[], Any]) -> Any:
        """What `ask` returns, asked again where that may help: for what does no harm done twice."""
        retries = self.retries()
        while True:
            try:
                return ask()
            except RegistryError as error:
                retries.wait(error)

    def ping(self) -> None:
        """Asks whether this is a registry (distribution spec, "Determining Support")."""

        def ask() -> None:
            answer = self.session.request("GET", "/v2/", (), expect=(200,))
            body = answer.read(DEFAULT_LIMIT, "the answer to a ping")
            if body.lstrip()[:1] == b"<":
                raise Unexpected(
                    f"{self.registry} does not speak the registry API", cause="it answered with a web page"
                )

        self.repeat(ask)

    def explain_auth(self, repository: str = "") -> str:
        """Which sources of credentials were asked, and which is used; never a secret."""
        return self.session.explain_auth(repository)

    # Manifests

    def get_manifest(self, repository: str, version: str) -> RemoteManifest:
        """The manifest or index of a tag or digest; verified, and with the bytes that the registry sent."""
        wanted = _digest_or_tag(version)

        def ask() -> RemoteManifest:
            answer = self._request("GET", _manifest_path(repository, version), repository, accept=_ACCEPT)
            raw = answer.read(DEFAULT_LIMIT, f"the manifest {version}")
            found = Digest.of(raw)
            if answer.length is not None and answer.length != len(raw):
                raise Unexpected(f"the manifest {version} of {repository} was cut off", transient=True)
            if isinstance(wanted, Digest) and found != wanted:
                raise Unexpected(
                    f"{self.registry}/{repository} serves another manifest than was asked for",
                    cause=f"asked for {wanted}, got {found}",
                    hint="do not use this image: the registry or something before it changed it",
                    transient=True,
                )
            said = answer.header("Docker-Content-Digest")
            if said.startswith("sha256:") and said != found:
                raise Unexpected(
                    f"{self.registry}/{repository}:{version} does not match the digest it is served with",
                    cause=f"the header says {printable(said, 80)}, the content is {found}",
                    transient=True,
                )
            media_type = answer.header("Content-Type").partition(";")[0].strip()
            return RemoteManifest(raw, _known_type(raw, media_type, version), found)

        found: RemoteManifest = self.repeat(ask)
        return found

    def head_manifest(self, repository: str, version: str) -> Digest | None:
        """The digest that the registry says a tag or digest has; None where there is none.

        It is what the registry says, not verified: use it to skip work, not to trust content.
        """
        _digest_or_tag(version)

        def ask() -> Digest | None:
            answer = self._request(
                "HEAD", _manifest_path(repository, version), repository, accept=_ACCEPT, expect=(200, 404)
            )
            answer.close()
            if answer.status == 404:
                return None
            said = answer.header("Docker-Content-Digest")
            try:
                return Digest(said)
            except InvalidValue:
                return self.get_manifest(repository, version).digest

        found: Digest | None = self.repeat(ask)
        return found

    def put_manifest(self, repository: str, version: str, raw: bytes, media_type: str) -> Digest:
        """Stores a manifest or index under a tag or its digest. Every blob it names must be there."""
        digest = Digest.of(raw)
        wanted = _digest_or_tag(version)
        if isinstance(wanted, Digest) and wanted != digest:
            raise InvalidValue(f"the manifest has the digest {digest}", cause=f"it is to be stored as {wanted}")
        check_manifest_size(raw, f"{self.registry}/{repository}")

        def ask() -> None:
            answer = self._request(
                "PUT",
                _manifest_path(repository, version),
                repository,
                actions=PUSH,
                expect=(200, 201, 202, 204),
                headers={"Content-Type": media_type},
                body=raw,
            )
            answer.close()
            said = answer.header("Docker-Content-Digest")
            if said.startswith("sha256:") and said != digest:
                raise Unexpected(
                    f"{self.registry}/{repository} stored something else than was sent for {version}",
                    cause=f"sent {digest}, stored {printable(said, 80)}",
                    hint="check what the tag names now",
                )

        self.repeat(ask)
        return digest

    def delete_manifest(self, repository: str, version: str) -> None:
        """Deletes a manifest by digest, or a tag where the registry allows it."""
        _digest_or_tag(version)
        self._delete(_manifest_path(repository, version), repository)

    def tags(self, repository: str) -> Iterator[str]:
        """All tags, page by page (distribution spec, "Listing Tags")."""
        check_repository(repository)
        path = f"/v2/{repository}/tags/list"
        seen: set[str] = set()
        for _ in range(_MAX_PAGES):
            if path in seen:
                raise Unexpected(f"{self.registry} lists the tags of {repository} in a circle")
            seen.add(path)
            answer, document = self._page(path, repository, "the tags")
            tags = document.get("tags") or []
            if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
                raise Unexpected(f"{self.registry} answered with no list of tags for {repository}")
            for tag in tags:
                yield check_tag(tag)
            following = self._next_page(answer)
            if following is None:
                return
            path = following
        raise Unexpected(f"{self.registry} lists the tags of {repository} without end")

    def referrers(self, repository: str, digest: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """What refers to a manifest (distribution spec, "Listing Referrers"), by the API or else by the tag scheme."""
        query = "?" + urlencode({"artifactType": artifact_type}) if artifact_type else ""
        path = f"/v2/{check_repository(repository)}/referrers/{digest}{query}"
        found: list[Descriptor] = []
        try:
            for _ in range(_MAX_PAGES):
                answer, document = self._page(path, repository, "the referrers")
                found += Index.from_bytes(json.dumps(document).encode(), "the referrers").manifests
                following = self._next_page(answer)
                if following is None:
                    break
                path = following
        except ResponseError as error:
            if error.status not in (400, 404, 405):
                raise
            found = list(self._referrers_by_tag(repository, digest))
        # A registry need not filter; one that does says so, and filtering again changes nothing.
        return tuple(d for d in found if not artifact_type or d.artifact_type == artifact_type)

    def _referrers_by_tag(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        tag = f"{digest.algorithm}-{digest.hex}"
        try:
            index = self.get_manifest(repository, tag).parse(f"{repository}:{tag}")
        except ResponseError as error:
            if error.status == 404:
                return ()
            raise
        return index.manifests if isinstance(index, Index) else ()

    # Blobs

    def blob_exists(self, repository: str, digest: Digest) -> bool:
        """Whether a repository has a blob."""

        def ask() -> bool:
            answer = self._request("HEAD", _blob_path(repository, digest), repository, expect=(200, 404))
            answer.close()
            return answer.status == 200

        return bool(self.repeat(ask))

    def get_blob(self, repository: str, digest: Digest, *, start: int = 0, actions: str = PULL) -> Answer:
        """A blob's bytes from `start`, as an open answer (200 or, for a part, 206). Neither verified nor repeated."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        return self._request(
            "GET", _blob_path(repository, digest), repository, actions=actions, expect=(200, 206), headers=headers
        )

    def delete_blob(self, repository: str, digest: Digest) -> None:
        """Deletes a blob where the registry allows it."""
        self._delete(_blob_path(repository, digest), repository)

    def ensure_blob(
        self,
        repository: str,
        descriptor: Descriptor,
        source: ContentSource,
        *,
        mount_from: Collection[str] = (),
        check_first: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> BlobResult:
        """Makes the blob exist in the repository: looks, mounts, uploads, resumes. The unit of retry.

        `mount_from` names repositories of this registry that may have it. With `check_first` False it is not asked
        whether it is there already. `progress` is told of bytes that were sent.
        """
        check_repository(repository)
        return upload_blob(
            self, repository, descriptor, source, mount_from=mount_from, check_first=check_first, progress=progress
        )

    # Below

    def _request(
        self,
        method: str,
        path: str,
        repository: str,
        *,
        actions: str = PULL,
        expect: Collection[int] = (200,),
        accept: str = "",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        check_repository(repository)
        sent = {**({"Accept": accept} if accept else {}), **(headers or {})}
        return self.session.request(method, path, (scope(repository, actions),), expect=expect, headers=sent, body=body)

    def _delete(self, path: str, repository: str) -> None:
        def ask() -> None:
            self._request("DELETE", path, repository, actions=_DELETE, expect=(200, 202, 204)).close()

        self.repeat(ask)

    def _page(self, path: str, repository: str, what: str) -> tuple[Answer, dict[str, Any]]:
        def ask() -> tuple[Answer, dict[str, Any]]:
            answer = self._request("GET", path, repository)
            raw = answer.read(_MAX_TAGS_PAGE, what)
            return answer, parse_document(raw, f"{what} of {repository}", limit=_MAX_TAGS_PAGE)

        found: tuple[Answer, dict[str, Any]] = self.repeat(ask)
        return found

    def _next_page(self, answer: Answer) -> str | None:
        """The Link to the next page (RFC 8288); only the registry's own host may be named."""
        for value in answer.headers("Link"):
            found = _LINK.search(value)
            if found:
                url: str = urljoin(answer.url, found[1])
                check_destination(url, self.session.base_url, "the next page")
                if not url.startswith(self.session.base_url + "/"):
                    raise Unexpected(f"{self.registry} names another host for its next page")
                return url
        return None


def check_manifest_size(raw: bytes, where: str) -> None:
    """Raises InvalidValue for a manifest that registries refuse: before anything is uploaded for it."""
    if len(raw) > DEFAULT_LIMIT:
        raise InvalidValue(
            f"the manifest for {where} has {len(raw)} bytes",
            cause=f"registries take at most {DEFAULT_LIMIT}",
            hint="shorten its annotations",
        )


def _manifest_path(repository: str, version: str) -> str:
    return f"/v2/{repository}/manifests/{version}"


def _blob_path(repository: str, digest: Digest) -> str:
    return f"/v2/{repository}/blobs/{digest}"


def _digest_or_tag(version: str) -> Digest | str:
    return Digest(version) if ":" in version else check_tag(version)


def _known_type(raw: bytes, served_as: str, version: str) -> str:
    known = media_types.MANIFESTS | media_types.INDEXES
    return served_as if served_as in known else parse_manifest(raw, f"the manifest {version}").media_type
