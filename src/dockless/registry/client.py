"""A registry's operations, one to one with the OCI distribution spec, and `ensure_blob` above them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from threading import Event
from typing import Any, TypeVar

from dockless._concurrency import check_jobs
from dockless.blobs import ContentSource
from dockless.errors import InvalidValue, printable
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.reference import check_registry, check_repository, check_tag
from dockless.registry.auth.keychain import Given
from dockless.registry.auth.scopes import DELETE, PULL, PUSH, scope
from dockless.registry.clock import Clock
from dockless.registry.errors import RegistryError, ResponseError, Unexpected
from dockless.registry.http.response import HttpResponse
from dockless.registry.listing import list_tags
from dockless.registry.once import Once
from dockless.registry.referrers import list_referrers, register_referrer
from dockless.registry.registry_session import RegistrySession
from dockless.registry.remote_manifest import ACCEPT, RemoteManifest, check_manifest_size, known_type
from dockless.registry.retry import Retries, RetryPolicy
from dockless.registry.upload_session import UploadSession
from dockless.registry.upload_state import UploadState
from dockless.registry.uploader import BlobResult, Upload

T = TypeVar("T")

_EMPTY = Digest.of(b"")


class RegistryClient:
    """One registry. Safe for threads; a context manager, which closes its connections.

    registry     host with its port; `docker.io` for Docker Hub
    credentials  who we are, or several by `host/path`; by default found as `dockless.registry.auth.keychain` says
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
        credentials: Given = None,
        auth_file: str | None = None,
        insecure: bool = False,
        ca_file: str | None = None,
        jobs: int = 4,
        clock: Clock | None = None,
        retry: RetryPolicy | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.registry = check_registry(registry)
        self.jobs = check_jobs(jobs)
        self.clock = clock or Clock()
        self.policy = retry or RetryPolicy()
        self.state = UploadState(os.environ if environ is None else environ)
        self._blobs: Once[tuple[str, Digest], BlobResult] = Once()
        self.session = RegistrySession(
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

    def retries(
        self, *, stop: Event | None = None, tell: Callable[[RegistryError, float], None] | None = None
    ) -> Retries:
        """A new count of attempts."""
        return Retries(self.policy, self.clock, stop=stop, tell=tell)

    def repeat(self, ask: Callable[[], T], *, stop: Event | None = None) -> T:
        """What `ask` returns, asked again where that may help: for what does no harm done twice. See `retries`."""
        retries = self.retries(stop=stop)
        while True:
            try:
                return ask()
            except RegistryError as error:
                retries.wait(error)

    def ping(self) -> None:
        """Asks whether this is a registry (distribution spec, "Determining Support"), and whether we may use it."""
        self.repeat(lambda: self.session.request("GET", "/v2/", (), expect=(200,)).close())

    def explain_auth(self, repository: str = "") -> str:
        """Which sources of credentials were asked, and which is used; never a secret."""
        return self.session.explain_auth(repository)

    # Manifests

    def get_manifest(self, repository: str, version: str) -> RemoteManifest:
        """The manifest or index of a tag or digest; verified, and with the bytes that the registry sent."""
        wanted = _digest_or_tag(version)
        what = f"the manifest {version}"

        def ask() -> RemoteManifest:
            answer = self._request("GET", _manifest_path(repository, version), repository, accept=ACCEPT)
            raw = answer.read(DEFAULT_LIMIT, what)
            found = Digest.of(raw)
            if isinstance(wanted, Digest) and found != wanted:
                raise Unexpected(
                    f"{self.registry}/{repository} serves another manifest than was asked for",
                    cause=f"asked for {wanted}, got {found}",
                    hint="do not use this image: the registry or something before it changed it",
                    transient=True,
                    attempts=2,
                )
            said = answer.header("Docker-Content-Digest")
            if said.startswith("sha256:") and said != found:
                raise Unexpected(
                    f"{self.registry}/{repository}:{version} does not match the digest it is served with",
                    cause=f"the header says {printable(said, 80)}, the content is {found}",
                    transient=True,
                    attempts=2,
                )
            media_type = answer.header("Content-Type").partition(";")[0].strip()
            shown = f"{self.registry}/{repository}{'@' if ':' in version else ':'}{version}"
            return RemoteManifest(raw, known_type(raw, media_type, shown), found)

        return self.repeat(ask)

    def head_manifest(self, repository: str, version: str, *, actions: str = PULL) -> Digest | None:
        """The digest that the registry says a tag or digest has; None where there is none.

        It is what the registry says, not verified: use it to skip work, not to trust content. `actions` are those of
        the token that is asked for: who goes on to push needs one token, not two.
        """
        _digest_or_tag(version)

        def ask() -> Digest | None:
            try:
                answer = self._request(
                    "HEAD",
                    _manifest_path(repository, version),
                    repository,
                    actions=actions,
                    accept=ACCEPT,
                    expect=(200, 404),
                )
            except ResponseError as error:
                if error.status not in (405, 501):
                    raise
                return self._got_manifest(repository, version)
            answer.close()
            if answer.status == 404:
                return None
            try:
                return Digest(answer.header("Docker-Content-Digest"))
            except InvalidValue:
                return self._got_manifest(repository, version)

        return self.repeat(ask)

    def put_manifest(
        self, repository: str, version: str, raw: bytes, media_type: str, *, stop: Event | None = None
    ) -> Digest:
        """Stores a manifest or index under a tag or its digest. Every blob it names must be there.

        One with a subject is found by `referrers` from then on, whether the registry knows of them or not. `stop` ends
        the attempts from another thread.
        """
        digest = Digest.of(raw)
        wanted = _digest_or_tag(version)
        if isinstance(wanted, Digest) and wanted != digest:
            raise InvalidValue(f"the manifest has the digest {digest}", cause=f"it is to be stored as {wanted}")
        check_manifest_size(raw, f"{self.registry}/{repository}")

        def ask() -> bool:
            try:
                answer = self._request(
                    "PUT",
                    _manifest_path(repository, version),
                    repository,
                    actions=PUSH,
                    expect=(200, 201, 202, 204),
                    headers={"Content-Type": media_type},
                    body=raw,
                )
            except ResponseError as error:
                if "DIGEST_INVALID" in error.codes:
                    # Ours is right, so it was damaged on the way.
                    error.transient, error.attempts = True, 2
                raise
            answer.close()
            said = answer.header("Docker-Content-Digest")
            if answer.status != 201:
                # 201 is what the specification says; who says something else may have done something else.
                said = self.head_manifest(repository, version, actions=PUSH) or "nothing"
            if (answer.status != 201 or said.startswith("sha256:")) and said != digest:
                raise Unexpected(
                    f"{self.registry}/{repository} stored something else than was sent for {version}",
                    cause=f"sent {digest}, stored {printable(said, 80)}",
                    hint="check what the tag names now",
                    transient=True,
                    attempts=3,
                )
            return bool(answer.header("OCI-Subject"))

        if not self.repeat(ask, stop=stop) and b'"subject"' in raw:
            register_referrer(self, repository, raw, media_type)
        return digest

    def delete_manifest(self, repository: str, version: str) -> None:
        """Deletes a manifest by digest, or a tag where the registry allows it."""
        _digest_or_tag(version)
        self._delete(_manifest_path(repository, version), repository)

    def tags(self, repository: str) -> Iterator[str]:
        """All tags, page by page (distribution spec, "Listing Tags")."""
        return list_tags(self, repository)

    def referrers(self, repository: str, digest: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """What refers to a manifest (distribution spec, "Listing Referrers"), by the API or else by the tag scheme."""
        return list_referrers(self, repository, digest, artifact_type)

    # Blobs

    def blob_exists(self, repository: str, digest: Digest) -> bool:
        """Whether a repository has a blob."""
        return self.repeat(lambda: self.blob_size(repository, digest)) is not None

    def blob_size(self, repository: str, digest: Digest, *, actions: str = PULL) -> int | None:
        """The bytes of a blob, -1 where the registry does not say; None where it has none. Not repeated."""
        answer = self._request("HEAD", _blob_path(repository, digest), repository, actions=actions, expect=(200, 404))
        answer.close()
        if answer.status == 404:
            return None
        return answer.length if answer.length or digest == _EMPTY else -1

    def get_blob(
        self, repository: str, digest: Digest, start: int = 0, stop: int | None = None, *, actions: str = PULL
    ) -> HttpResponse:
        """A blob's bytes from `start` up to, not with, `stop` (None: to its end), as an open answer.

        Its status is 206 for a part, or 200 from a registry that knows no ranges and sends the whole. Neither verified
        nor repeated: RegistryContent is both.
        """
        ranged = bool(start) or stop is not None
        headers = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if ranged else {}
        return self._request(
            "GET", _blob_path(repository, digest), repository, actions=actions, expect=(200, 206), headers=headers
        )

    def open_upload(self, repository: str, *, mount: Digest | None = None, source: str = "") -> UploadSession | None:
        """Begins an upload, for those who send chunks themselves; `ensure_blob` does all of it. Not repeated.

        With `mount` the registry is asked to take that blob from its repository `source`; None: it did.
        """
        session = UploadSession(self.session, check_repository(repository))
        mounted = session.open(mount=mount, source=check_repository(source) if mount else "")
        return None if mounted else session

    def delete_blob(self, repository: str, digest: Digest) -> None:
        """Deletes a blob where the registry allows it."""
        self._blobs.forget((repository, digest))
        self._delete(_blob_path(repository, digest), repository)

    def ensure_blob(
        self,
        repository: str,
        descriptor: Descriptor,
        source: ContentSource,
        *,
        mount_from: Collection[str] = (),
        check_first: bool = True,
        moved: Callable[[int], None] | None = None,
        retried: Callable[[RegistryError, float], None] | None = None,
        stop: Event | None = None,
    ) -> BlobResult:
        """Makes the blob exist in the repository: looks, mounts, uploads, resumes. The unit of retry.

        What this client saw there already is there: it is not asked for again, and other repositories mount it. Two
        threads that want the same do it once. `mount_from` names repositories of this registry that may have it. With
        `check_first` False it is sent whatever the registry says it has. See Upload for the rest.
        """
        check_repository(repository)
        digest = descriptor.digest
        elsewhere = [known for known, of in self._blobs.done() if of == digest]

        def work() -> BlobResult:
            return Upload(
                self,
                repository,
                descriptor,
                source,
                mount_from=dict.fromkeys((*mount_from, *elsewhere)) if check_first else (),
                moved=moved,
                retried=retried,
                stop=stop,
            ).run(check_first=check_first)

        found, mine = self._blobs.run((repository, digest), work, again=not check_first)
        return found if mine else BlobResult("present", 0)

    # Below

    def _got_manifest(self, repository: str, version: str) -> Digest | None:
        try:
            return self.get_manifest(repository, version).digest
        except ResponseError as error:
            if error.status == 404:
                return None
            raise

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
    ) -> HttpResponse:
        check_repository(repository)
        sent = {**({"Accept": accept} if accept else {}), **(headers or {})}
        return self.session.request(method, path, (scope(repository, actions),), expect=expect, headers=sent, body=body)

    def _delete(self, path: str, repository: str) -> None:
        asked_before = False

        def ask() -> None:
            nonlocal asked_before
            # The answer to the first attempt may have been lost after the deed.
            done = (200, 202, 204, 404) if asked_before else (200, 202, 204)
            asked_before = True
            self._request("DELETE", path, repository, actions=DELETE, expect=done).close()

        self.repeat(ask)


def _manifest_path(repository: str, version: str) -> str:
    return f"/v2/{repository}/manifests/{version}"


def _blob_path(repository: str, digest: Digest) -> str:
    return f"/v2/{repository}/blobs/{digest}"


def _digest_or_tag(version: str) -> Digest | str:
    return Digest(version) if ":" in version else check_tag(version)
