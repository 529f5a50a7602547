"""Pushes an image: first blobs, then manifests by digest, then the index, and tags last.

A tag is moved when everything that the image consists of is known to be in the repository: an interrupted push leaves
all tags as they were.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from dockless._concurrency import WorkerPool
from dockless.blobs import BlobSource
from dockless.errors import InvalidDocumentError
from dockless.image_tree import ImageTree
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import AnyManifest, Index
from dockless.oci.reference import Reference, check_repository, check_tag
from dockless.registry.auth.scopes import PUSH
from dockless.registry.client import RegistryClient
from dockless.registry.errors import (
    ProtocolError,
    RegistryConnectionError,
    RegistryError,
    RegistryRequestError,
    ResponseError,
)
from dockless.registry.progress import Progress, ProgressEvent, silent
from dockless.registry.push_plan import pushed_blobs, read_tag
from dockless.registry.push_result import PushResult
from dockless.registry.remote_manifest import check_manifest_size
from dockless.registry.retry import MISSING_CONTENT, classify

# Bytes of a config or a layer that is uploaded before the large layers.
_SMALL = 64 * 1024
_TAG_REFUSED = frozenset((400, 403, 405, 409, 412))
# How often the registry is asked for what it misses before that is sent again in any case.
_MAX_CHECKS = 2
_MISSING = frozenset(("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"))
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


def push(
    root: AnyManifest,
    source: BlobSource,
    client: RegistryClient,
    repository: str,
    tags: Sequence[str],
    *,
    mount_from: Mapping[Digest, Collection[str]] | None = None,
    known: Mapping[Digest, bool] | None = None,
    force: bool = False,
    keep_foreign_layers: bool = True,
    progress: Progress = silent,
) -> PushResult:
    """Store the image `root` in `repository`, and set each of `tags` (there may be none) to it.

    The manifests and blobs below `root` are read from `source`. `mount_from` names repositories of the same registry
    that may already have a blob. `known` tells which blobs the repository has (True) or lacks (False) according to
    `plan_push`: the registry is not asked for these blobs and for the tags. With `force`, existing blobs are sent
    again. Foreign layers with URLs are left where they are with `keep_foreign_layers`, and otherwise pushed like other
    layers. Raises the first DocklessError.
    """
    check_repository(repository)
    checked_tags = tuple(dict.fromkeys(check_tag(tag) for tag in tags))
    tree = ImageTree.read(root, source, str(root.digest))
    for document in tree.documents.values():
        check_manifest_size(document.raw, f"{client.registry}/{repository}")
    task = _Push(source, client, repository, mount_from or {}, force, progress)
    task.blobs = pushed_blobs(tree, keep_foreign_layers=keep_foreign_layers)
    task.known = known or {}
    # With foreign layers to push, an existing manifest does not prove that the image is complete.
    is_provable = not any(blob.is_foreign for blob in task.blobs.values())
    if known is None and not force and checked_tags and is_provable and task.is_tagged(checked_tags, root.digest):
        return task.result(root, checked_tags)
    task.children = [document for document in tree.documents.values() if document.digest != root.digest]
    task.ensure_blobs()
    task.put_children()
    for version in checked_tags or (root.digest,):
        task.put(root, version)
    task.check_stored(root, checked_tags)
    return task.result(root, checked_tags)


class _Push:
    def __init__(
        self,
        source: BlobSource,
        client: RegistryClient,
        repository: str,
        mount_from: Mapping[Digest, Collection[str]],
        force: bool,
        progress: Progress,
    ) -> None:
        self.blobs: Mapping[Digest, Descriptor] = {}
        self.known: Mapping[Digest, bool] = {}
        # The manifests that `root` names, those of an inner index before the index.
        self.children: Sequence[AnyManifest] = ()
        self._source = source
        self._client = client
        self._repository = repository
        self._mount_from = mount_from
        self._force = force
        self._progress = progress
        self._workers = WorkerPool(client.jobs)
        self._counts = {"sent": 0, "mounted": 0, "present": 0}
        self._bytes_sent = 0
        # The blobs that were sent.
        self._sent: list[Digest] = []
        # The digest that each tag referred to before, as far as known.
        self._before: dict[str, Digest | None] = {}
        self._lock = threading.Lock()
        # Whether `read_tag` was forbidden.
        self._is_forbidden = False

    def is_tagged(self, tags: Iterable[str], digest: Digest) -> bool:
        """Return whether all tags refer to the image already, so that nothing has to be done."""
        for tag in tags:
            self._before[tag] = self._tagged_digest(tag)
            if self._before[tag] != digest:
                return False
        return True

    def ensure_blobs(self, *, missing: Collection[Digest] | None = None) -> None:
        """Make all blobs exist. Those that the registry reported as `missing` are sent without asking again."""
        # The largest first, because it takes longest; but small ones, which wait for round trips, before all.
        wanted = [blob for blob in self.blobs.values() if missing is None or blob.digest in missing]
        ordered = sorted(wanted, key=lambda blob: (blob.size > _SMALL, -blob.size))
        tasks = [partial(self._ensure, blob, missing) for blob in ordered]
        if self._is_forbidden:
            # If the password is wrong, one thread finds out, and not all of them: the account might be locked.
            self._workers.run(tasks[:1])
            tasks = tasks[1:]
        self._workers.run(tasks)

    def put_children(self) -> None:
        """Store all manifests but the root: image manifests concurrently, then the indexes that list them."""
        manifests = [child for child in self.children if not isinstance(child, Index)]
        self._workers.run([partial(self.put, manifest, manifest.digest) for manifest in manifests])
        for child in self.children:
            if isinstance(child, Index):
                self.put(child, child.digest)

    def put(self, document: AnyManifest, version: str) -> None:
        """Store a manifest. If the registry misses what the manifest names, that is checked, and then sent again."""
        attempts = self._client.retrier.attempts(stop=self._workers.stop)
        refusals = 0
        while True:
            try:
                self._put(document, version)
                break
            except ResponseError as error:
                if not _MISSING.intersection(error.codes):
                    raise
                refusals += 1
                # A registry of several servers may need time to find what it has received.
                attempts.wait(error, MISSING_CONTENT)
                self._supply(document, error, send=refusals > _MAX_CHECKS)
        if version != document.digest:
            reference = str(Reference(self._client.registry, self._repository, version))
            self._progress(ProgressEvent("tagged", document.descriptor, reference=reference))

    def check_stored(self, root: AnyManifest, tags: Sequence[str]) -> None:
        """Ask for the tags and for a blob that was sent, and put everything again that the registry lacks.

        A registry refuses an image that is not complete. Other servers may accept everything and store nothing. Raises
        ProtocolError for these.
        """
        attempts = self._client.retrier.attempts(stop=self._workers.stop)
        is_sent_again = False
        while lost := self._lost(root, tags):
            name = f"{self._client.registry}/{self._repository}"
            error = ProtocolError(
                f"{name} does not have {lost[0]}, although the response to the upload was a success",
                hint="the registry, or a proxy in front of it, does not keep what is sent",
                reason="nothing stored",
            )
            attempts.wait(error)
            if is_sent_again:
                self.ensure_blobs(missing=self._sent)
                self.put_children()
                for version in tags or (root.digest,):
                    self.put(root, version)
            is_sent_again = True

    def _lost(self, root: AnyManifest, tags: Sequence[str]) -> list[str]:
        """Return tags and digests that were put and that the registry lacks. What it does not tell is not lost."""
        lost: list[str] = []

        def check(version: str) -> None:
            try:
                if version in self.blobs:
                    is_lost = self._client.blob_size(self._repository, Digest(version), confirm=True) is None
                else:
                    found = self._client.head_manifest(self._repository, version, actions=PUSH, retry=False)
                    if found != root.digest:
                        # A proxy may answer HEAD wrongly.
                        found, _ = read_tag(self._client, self._repository, version)
                    # Another push may have moved a tag since.
                    is_lost = found is None or (found != root.digest and found == self._before.get(version))
            except (RegistryError, InvalidDocumentError):
                return
            if is_lost:
                lost.append(version)

        largest = sorted(self._sent, key=lambda digest: -self.blobs[digest].size)[:1]
        self._workers.run([partial(check, version) for version in (*(tags or (root.digest,)), *largest)])
        return lost

    def _supply(self, document: AnyManifest, refusal: ResponseError, *, send: bool) -> None:
        """Make exist what the registry misses according to `refusal`. `send`: also what it has according to HEAD."""
        named = {Digest(digest.decode()) for digest in _DIGEST.findall(refusal.body)}
        # A registry that does not tell what it misses may miss anything.
        missing = named.intersection((*self.blobs, *(child.digest for child in self.children))) or set(self.blobs)
        if not send:
            absent: set[Digest] = set()

            def check(blob: Descriptor) -> None:
                if not self._client.find_blob(self._repository, blob, stop=self._workers.stop):
                    absent.add(blob.digest)

            self._workers.run([partial(check, blob) for digest, blob in self.blobs.items() if digest in missing])
            missing = absent
        if missing:
            self.ensure_blobs(missing=missing)
        if isinstance(document, Index):
            for child in self.children:
                self._put(child, child.digest)

    def result(self, root: AnyManifest, tags: Iterable[str]) -> PushResult:
        """Return the result, in which tags, or without tags the digest, refer to the image."""
        registry = self._client.registry
        references = tuple(str(Reference(registry, self._repository, tag)) for tag in tags)
        return PushResult(
            root.digest,
            references or (str(Reference(registry, self._repository, digest=root.digest)),),
            self._counts["sent"],
            self._bytes_sent,
            self._counts["mounted"],
            self._counts["present"],
        )

    def _tagged_digest(self, tag: str) -> Digest | None:
        digest, is_forbidden = read_tag(self._client, self._repository, tag)
        self._is_forbidden = self._is_forbidden or is_forbidden
        return digest

    def _put(self, document: AnyManifest, version: str) -> None:
        with self._client.retrier.limit():
            self._put_in_time(document, version)

    def _put_in_time(self, document: AnyManifest, version: str) -> None:
        try:
            self._client.put_manifest(
                self._repository, version, document.raw, document.media_type, stop=self._workers.stop
            )
        except RegistryRequestError as error:
            is_refused = isinstance(error, ResponseError) and error.status in _TAG_REFUSED
            is_missing = isinstance(error, ResponseError) and bool(_MISSING.intersection(error.codes))
            if version == document.digest or is_missing or not (is_refused or _may_have_succeeded(error)):
                raise
            # An immutable tag that already refers to this image is a success.
            try:
                if self._tagged_digest(version) == document.digest:
                    # Whether the registry registered a referrer was in the response that was lost.
                    self._client.register_referrer(self._repository, document.raw, document.media_type)
                    return
            except RegistryError:
                pass
            if is_refused:
                repository = f"{self._client.registry}/{self._repository}"
                problem = f"the tag {version} of {repository} was refused: {error.problem}"
                raise error.replace(problem=problem) from error.__cause__
            raise

    def _ensure(self, blob: Descriptor, missing: Collection[Digest] | None) -> None:
        def on_bytes(n: int) -> None:
            self._progress(ProgressEvent("bytes", blob, n))

        def on_retry(error: RegistryError, pause: float) -> None:
            self._progress(ProgressEvent("retry", blob, error=str(error), pause=pause))

        self._progress(ProgressEvent("began", blob))
        if missing is None and self.known.get(blob.digest):
            with self._lock:
                self._counts["present"] += 1
            self._progress(ProgressEvent("present", blob))
            return
        is_missing = missing is not None and blob.digest in missing
        result = self._client.ensure_blob(
            self._repository,
            blob,
            self._source,
            mount_from=() if self._force else self._mount_from.get(blob.digest, ()),
            check_first=not (self._force or is_missing),
            is_missing=self.known.get(blob.digest) is False,
            on_bytes=on_bytes,
            on_retry=on_retry,
            stop=self._workers.stop,
        )
        with self._lock:
            self._bytes_sent += result.bytes_sent
            if missing is None:
                self._counts[result.how] += 1
            if result.how == "sent":
                self._sent.append(blob.digest)
        self._progress(ProgressEvent(result.how, blob))


def _may_have_succeeded(error: RegistryRequestError) -> bool:
    """Return whether a PUT may have succeeded although its response was lost."""
    if isinstance(error, RegistryConnectionError):
        return error.method == "PUT" and error.reason == "interrupted"
    return isinstance(error, ResponseError) and error.method == "PUT" and classify(error).retryable
