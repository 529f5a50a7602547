"""Manifests and indexes of a registry, with all attempts that reading and storing them takes."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

from dockless.errors import InvalidValueError, printable
from dockless.oci.digest import Digest
from dockless.registry.api import RegistryApi, digest_or_tag
from dockless.registry.auth.scopes import PULL, PUSH
from dockless.registry.blob_presence import forbids_head
from dockless.registry.errors import ProtocolError, ResponseError
from dockless.registry.remote_manifest import RemoteManifest, check_manifest_size
from dockless.registry.retry import Retrier


class ManifestStore:
    """The manifests of one registry. See RegistryClient for the methods."""

    def __init__(self, api: RegistryApi, retrier: Retrier) -> None:
        self.api = api
        self.retrier = retrier

    def get(self, repository: str, version: str) -> RemoteManifest:
        """Return the manifest or index of a tag or digest."""
        return self.retrier.run(lambda: self.api.get_manifest(repository, version))

    def find(self, repository: str, version: str) -> RemoteManifest | None:
        """Return the manifest or index of a tag or digest, or None if there is none."""
        try:
            return self.get(repository, version)
        except ResponseError as error:
            if error.status == 404:
                return None
            raise

    def digest_of(self, repository: str, version: str, *, actions: str = PULL) -> Digest | None:
        """Return the digest of a tag or digest according to the registry, or None if there is none."""
        try:
            head = self.retrier.run(lambda: self.api.head_manifest(repository, version, actions=actions))
        except ResponseError as error:
            if not forbids_head(error):
                raise
        else:
            if head.digest is not None or not head.exists:
                return head.digest
        manifest = self.find(repository, version)
        return manifest.digest if manifest else None

    def put(self, repository: str, version: str, raw: bytes, media_type: str, *, stop: Event | None = None) -> bool:
        """Store a manifest or index. Return whether the registry has registered it as a referrer of its subject."""
        digest = Digest.of(raw)
        expected = digest_or_tag(version)
        if isinstance(expected, Digest) and expected != digest:
            raise InvalidValueError(f"the manifest has the digest {digest}", cause=f"it is to be stored as {expected}")
        check_manifest_size(raw, f"{self.api.registry}/{repository}")

        def put() -> bool:
            stored = self.api.put_manifest(repository, version, raw, media_type)
            actual = stored.digest
            if stored.status != 201:
                # The specification requires 201: another status may mean that something else was done.
                actual = self.digest_of(repository, version, actions=PUSH) or "nothing"
            if (stored.status != 201 or actual.startswith("sha256:")) and actual != digest:
                raise ProtocolError(
                    f"{self.api.registry}/{repository} stored another manifest than was sent for {version}",
                    cause=f"sent the digest {digest}, stored {printable(actual, 80)}",
                    hint="check which image the tag refers to",
                    reason="other content stored",
                )
            return bool(stored.subject)

        return self.retrier.run(put, stop=stop)

    def delete(self, repository: str, version: str) -> None:
        """Delete a manifest by digest, or a tag."""
        repeat_deletion(
            self.retrier,
            lambda may_be_absent: self.api.delete_manifest(repository, version, may_be_absent=may_be_absent),
        )


def repeat_deletion(retrier: Retrier, delete: Callable[[bool], None]) -> None:
    """Call `delete` until it succeeds; from the second attempt on with True: the first may have deleted already."""
    attempts = 0

    def attempt() -> None:
        nonlocal attempts
        attempts += 1
        delete(attempts > 1)

    retrier.run(attempt)
