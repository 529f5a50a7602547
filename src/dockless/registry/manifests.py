"""Manifests and indexes of a registry, with all attempts that reading and storing them takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Event

from dockless._concurrency import KeyedLocks
from dockless.errors import InvalidValueError, printable
from dockless.oci.digest import Digest
from dockless.registry.api import RegistryApi, digest_or_tag
from dockless.registry.auth.scopes import PULL, PUSH
from dockless.registry.errors import ProtocolError, ResponseError
from dockless.registry.presence import forbids_head
from dockless.registry.remote_manifest import RemoteManifest, check_manifest_size
from dockless.registry.retry import RETRY, Retrier, classify

# Of the time for storing a manifest: the rest is for asking whether it was stored although there was no response.
_PUT_SHARE = 0.95


class ManifestStore:
    """The manifests of one registry. See RegistryClient for the methods."""

    def __init__(self, api: RegistryApi, retrier: Retrier) -> None:
        self.api = api
        self.retrier = retrier
        # Whether a repository has the referrers API, as far as known.
        self.has_referrers_api: dict[str, bool] = {}
        self.referrer_locks: KeyedLocks[tuple[str, Digest]] = KeyedLocks()

    def get(self, repository: str, version: str, *, actions: str = PULL) -> RemoteManifest:
        """Return the manifest or index of a tag or digest."""
        return self.retrier.run(lambda: self.api.get_manifest(repository, version, actions=actions))

    def find(self, repository: str, version: str, *, actions: str = PULL, retry: bool = True) -> RemoteManifest | None:
        """Return the manifest or index of a tag or digest, or None if there is none."""
        ask = partial(self.api.get_manifest, repository, version, actions=actions)
        try:
            return self.retrier.run(ask) if retry else ask()
        except ResponseError as error:
            if error.status == 404:
                return None
            raise

    def digest_of(self, repository: str, version: str, *, actions: str = PULL, retry: bool = True) -> Digest | None:
        """Return the digest of a tag or digest according to the registry, or None if there is none."""
        ask = partial(self.api.head_manifest, repository, version, actions=actions)
        try:
            head = self.retrier.run(ask) if retry else ask()
        except ResponseError as error:
            if not forbids_head(error):
                raise
        else:
            if head.digest is not None or not head.exists:
                return head.digest
        manifest = self.find(repository, version, actions=actions, retry=retry)
        return manifest.digest if manifest else None

    def put(self, repository: str, version: str, raw: bytes, media_type: str, *, stop: Event | None = None) -> None:
        """Store a manifest or index."""
        digest = Digest.of(raw)
        expected = digest_or_tag(version)
        if isinstance(expected, Digest) and expected != digest:
            raise InvalidValueError(f"the manifest has the digest {digest}", cause=f"it is to be stored as {expected}")
        check_manifest_size(raw, f"{self.api.registry}/{repository}")

        def put() -> None:
            stored = self.api.put_manifest(repository, version, raw, media_type)
            actual = stored.digest
            # The specification requires 201: another status may mean that something else was done, and a response
            # without the digest may be that of a server that stores nothing.
            is_uncertain = stored.status != 201 or not actual
            if is_uncertain:
                actual = self._stored_digest(repository, version, digest) or "nothing"
            if (is_uncertain or actual.startswith("sha256:")) and actual != digest:
                raise ProtocolError(
                    f"{self.api.registry}/{repository} stored another manifest than was sent for {version}",
                    cause=f"sent the digest {digest}, stored {printable(actual, 80)}",
                    hint="check which image the tag refers to",
                    reason="other content stored",
                )

        self.retrier.run(put, stop=stop, share=_PUT_SHARE)

    def _stored_digest(self, repository: str, version: str, digest: Digest) -> Digest | None:
        """Return what `version` refers to after it was set to `digest`; `digest` if the registry does not tell.

        A failed request is not retried: `put` repeats all of its requests, and has one count of attempts for them.
        """
        ask = partial(self.digest_of, repository, actions=PUSH, retry=False)
        try:
            found = ask(version)
            if found in (None, digest):
                return found
            # Another client may have moved the tag since.
            return digest if ask(digest) == digest else found
        except ResponseError as error:
            if classify(error) == RETRY:
                raise
            return digest

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
