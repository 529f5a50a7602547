"""The client of one registry: the operations of the OCI distribution spec, with all attempts that they take."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from threading import Event

from dockless._concurrency import SingleFlight, check_jobs
from dockless.blobs import BlobSource, MissingBlobs
from dockless.errors import InvalidValueError
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.reference import check_registry, check_repository
from dockless.registry.api import RegistryApi
from dockless.registry.auth.keychain import GivenCredentials
from dockless.registry.auth.scopes import PULL
from dockless.registry.blob_locations import BlobLocations
from dockless.registry.clock import Clock
from dockless.registry.errors import RegistryError
from dockless.registry.http.response import HttpResponse
from dockless.registry.listing import list_repositories, list_tags
from dockless.registry.manifests import ManifestStore, repeat_deletion
from dockless.registry.mount_sources import MountSources
from dockless.registry.presence import blob_size
from dockless.registry.push_result import BlobResult
from dockless.registry.referrers import Referrer, list_referrers, register_referrer
from dockless.registry.registry_session import RegistrySession
from dockless.registry.remote_manifest import RemoteManifest
from dockless.registry.retry import Retrier, RetryPolicy
from dockless.registry.upload_session import UploadSession
from dockless.registry.upload_state import UploadState
from dockless.registry.uploader import BlobUploader


class RegistryClient:
    """A client of one registry. Thread-safe; a context manager, which closes its connections.

    registry     host with its port; `docker.io` for Docker Hub
    credentials  for the whole registry, or by `host/path`; None: searched as `find_credentials` describes
    auth_file    a Docker or Podman config file to use instead of the usual config files
    insecure     allow plain HTTP and unverified certificates; plain HTTP is always allowed for loopback hosts
    insecure_hosts
                 further hosts (`host[:port]`) whose certificates are not verified, such as the registry's token server
    ca_file      a PEM file of trusted CAs, in addition to the usual ones
    jobs         the maximum number of concurrent requests
    retry        when failed requests are repeated; None: RetryPolicy's defaults

    Every method raises RegistryError for failures of the registry, and InvalidValueError for invalid names.
    """

    def __init__(
        self,
        registry: str,
        *,
        credentials: GivenCredentials = None,
        auth_file: str | None = None,
        insecure: bool = False,
        insecure_hosts: Collection[str] = (),
        ca_file: str | None = None,
        jobs: int = 4,
        clock: Clock | None = None,
        retry: RetryPolicy | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.registry = check_registry(registry)
        self.jobs = check_jobs(jobs)
        for name, path in (("ca_file", ca_file), ("auth_file", auth_file)):
            if path is not None and not isinstance(path, (str, os.PathLike)):
                raise InvalidValueError(f"{name} is {path!r:.200}, which is not a path on disk")
        self.retrier = Retrier(retry or RetryPolicy(), clock or Clock())
        environ = os.environ if environ is None else environ
        self._state = UploadState(environ)
        self._mounts = MountSources(BlobLocations(environ), lambda: self._api.base_url)
        self._uploads: SingleFlight[tuple[str, Digest], BlobResult] = SingleFlight()
        self._session = RegistrySession(
            self.registry,
            credentials=credentials,
            auth_file=auth_file,
            insecure=insecure,
            insecure_hosts=tuple(map(check_registry, insecure_hosts)),
            ca_file=ca_file,
            jobs=jobs,
            clock=self.retrier.clock,
            environ=environ,
        )
        self._api = RegistryApi(self._session)
        self._manifests = ManifestStore(self._api, self.retrier)

    def __enter__(self) -> RegistryClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all idle connections."""
        self._session.close()

    @property
    def connection_failure(self) -> RegistryError | None:
        """The last error of connecting to the registry, if no connection ever succeeded."""
        return self._session.connection_failure

    def ping(self) -> None:
        """Check that this is a registry and the credentials are valid (distribution spec, "Determining Support")."""
        self.retrier.run(self._api.ping)

    def explain_auth(self, repository: str = "") -> str:
        """Return which sources of credentials were searched and which is used, in one line without secrets."""
        return self._session.explain_auth(repository)

    # Manifests

    def get_manifest(self, repository: str, version: str, *, actions: str = PULL) -> RemoteManifest:
        """Return the manifest or index of a tag or digest: verified, and with the bytes that the registry sent.

        `actions` are those of the token that is requested: a push needs one token for all its requests.
        """
        return self._manifests.get(repository, version, actions=actions)

    def head_manifest(self, repository: str, version: str, *, actions: str = PULL, retry: bool = True) -> Digest | None:
        """Return the digest of a tag or digest according to the registry; None if there is no such manifest.

        The digest is not verified: use it to avoid work, not to trust content. `actions` are those of `get_manifest`.
        Without `retry`, a failed request is final.
        """
        return self._manifests.digest_of(repository, version, actions=actions, retry=retry)

    def put_manifest(
        self, repository: str, version: str, raw: bytes, media_type: str, *, stop: Event | None = None
    ) -> Digest:
        """Store a manifest or index under a tag or its digest, and return its digest. Its blobs must exist.

        A manifest with a subject is found by `referrers` afterwards, whether or not the registry supports referrers.
        `stop` ends the attempts from another thread. Raises InvalidDocumentError for a manifest with a subject whose
        annotations or artifact type are invalid, before it is sent.
        """
        referrer = Referrer.of(raw, media_type)
        self._manifests.put(repository, version, raw, media_type, stop=stop)
        if referrer is not None:
            register_referrer(self._manifests, repository, referrer)
        return Digest.of(raw)

    def delete_manifest(self, repository: str, version: str) -> None:
        """Delete a manifest by digest, or a tag if the registry allows it."""
        self._manifests.delete(repository, version)

    def tags(self, repository: str) -> Iterator[str]:
        """Yield all tags, page by page (distribution spec, "Listing Tags")."""
        return list_tags(self._api, self.retrier, repository)

    def repositories(self) -> Iterator[str]:
        """Yield the names of all repositories, page by page. Many registries refuse the list.

        Specification: distribution's HTTP API V2, "Listing Repositories", which the OCI specification does not contain.
        """
        return list_repositories(self._api, self.retrier)

    def referrers(self, repository: str, digest: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Return the descriptors of the referrers of a manifest, from the referrers API or the referrers tag.

        Specification: distribution spec, "Listing Referrers".
        """
        return list_referrers(self._manifests, repository, digest, artifact_type)

    def register_referrer(self, repository: str, raw: bytes, media_type: str) -> None:
        """Register a stored manifest with a subject as its referrer, unless the registry has done so."""
        referrer = Referrer.of(raw, media_type)
        if referrer is not None:
            register_referrer(self._manifests, repository, referrer)

    # Blobs

    def blob_exists(self, repository: str, digest: Digest) -> bool:
        """Return whether a repository has a blob."""
        return self.retrier.run(lambda: self.blob_size(repository, digest)) is not None

    def blob_size(self, repository: str, digest: Digest, *, confirm: bool = False) -> int | None:
        """Return the size of a blob in bytes, -1 if the response has no size, or None if the blob does not exist.

        With `confirm`, a blob does not exist only if the responses to HEAD and GET say so. A failed request is not
        retried.
        """
        return blob_size(self._api, repository, digest, confirm=confirm)

    def get_blob(self, repository: str, digest: Digest, start: int = 0, stop: int | None = None) -> HttpResponse:
        """Return a response with the bytes of a blob from `start` up to, but not including, `stop`.

        With None, the response ends at the end of the blob. The status is 206 for a part, or 200 if the registry does
        not support ranges. The bytes are not verified and a failed request is not retried; RegistryBlobSource does
        both.
        """
        return self._api.get_blob(repository, digest, start, stop)

    def open_upload(self, repository: str, *, mount: Digest | None = None, source: str = "") -> UploadSession | None:
        """Open an upload session, for callers that send chunks themselves. `ensure_blob` does a complete upload.

        A failed request is not retried. With `mount`, the registry is asked to mount that blob from the repository
        `source`. Returns None if the blob was mounted.
        """
        session = self._api.upload_session(repository)
        mounted = session.open(mount=mount, source=check_repository(source) if mount else "")
        return None if mounted else session

    def delete_blob(self, repository: str, digest: Digest) -> None:
        """Delete a blob if the registry allows it."""
        check_repository(repository)
        digest = Digest(digest)
        self._uploads.forget((repository, digest))
        self._mounts.remove(digest, repository)
        repeat_deletion(
            self.retrier,
            lambda may_be_absent: self._api.delete_blob(repository, digest, may_be_absent=may_be_absent),
        )

    def find_blob(
        self,
        repository: str,
        descriptor: Descriptor,
        *,
        mount_from: Collection[str] = (),
        stop: Event | None = None,
    ) -> str:
        """Return `present` if a repository has a blob, `mounted` if the blob could be mounted, or an empty string.

        As `ensure_blob`, with retries, but without the content of the blob.
        """
        check_repository(repository)
        _check_descriptor(descriptor)
        return BlobUploader(
            self._api,
            self.retrier,
            self._state,
            repository,
            descriptor,
            MissingBlobs(),
            mounts=self._mounts,
            mount_from=mount_from,
            stop=stop,
        ).find()

    def mount_candidates(self, repository: str, digest: Digest, mount_from: Collection[str] = ()) -> list[str]:
        """Return the repositories from which `ensure_blob` would mount a blob. They need not have the blob any more."""
        return self._mounts.find(Digest(digest), check_repository(repository), mount_from)

    def ensure_blob(
        self,
        repository: str,
        descriptor: Descriptor,
        source: BlobSource,
        *,
        mount_from: Collection[str] = (),
        check_first: bool = True,
        is_missing: bool = False,
        on_bytes: Callable[[int], None] | None = None,
        on_retry: Callable[[RegistryError, float], None] | None = None,
        stop: Event | None = None,
    ) -> BlobResult:
        """Ensure that a blob exists in a repository: check, mount, upload, resume, with retries.

        Concurrent calls for the same blob share one upload. A blob that this client has seen in a repository is not
        requested again, and is mounted into other repositories, as is a blob that an earlier process of this user
        pushed. `mount_from` names further repositories of the registry that may have the blob. Without `check_first`
        the blob is sent in any case. With `is_missing` the registry is not asked first, because it lacks the blob
        according to `find_blob`. `on_bytes` is called with the number of bytes that were sent, `on_retry` with an
        error and the seconds until the next attempt. `stop` ends the upload from another thread.
        """
        check_repository(repository)
        _check_descriptor(descriptor)
        digest = descriptor.digest

        def upload() -> BlobResult:
            return BlobUploader(
                self._api,
                self.retrier,
                self._state,
                repository,
                descriptor,
                source,
                mounts=self._mounts,
                mount_from=mount_from,
                may_mount=check_first,
                on_bytes=on_bytes,
                on_retry=on_retry,
                stop=stop,
            ).run(check_first=check_first and not is_missing, resume=check_first)

        result, is_own = self._uploads.run((repository, digest), upload, again=not check_first)
        return result if is_own else BlobResult("present", 0)


def _check_descriptor(descriptor: Descriptor) -> None:
    if not isinstance(descriptor, Descriptor):
        raise InvalidValueError(f"{descriptor!r:.100} is not a Descriptor", hint="write Descriptor(...)")
