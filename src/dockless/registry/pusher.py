"""Pushes an image: blobs, then manifests by digest, then the index, then the tags.

A tag moves last, when all that it names was seen to be in the repository: whatever dies on the way leaves it as it was.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

from dockless._concurrency import Crew
from dockless.blobs import ContentSource
from dockless.errors import InvalidDocument
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, Manifest, parse_manifest
from dockless.oci.reference import Reference, check_repository, check_tag
from dockless.registry.auth.scopes import PUSH
from dockless.registry.client import RegistryClient
from dockless.registry.errors import ConnectionFailed, Failure, RegistryError, ResponseError, TokenRefused
from dockless.registry.progress import Progress, ProgressEvent, silent
from dockless.registry.pushed import Pushed
from dockless.registry.referrers import register_referrer
from dockless.registry.remote_manifest import check_manifest_size

# What a config may have; a layer of that size is as little trouble.
_SMALL = 64 * 1024
_MAX_DEPTH = 4
_TAG_REFUSED = frozenset((400, 403, 405, 409, 412))
_MISSING = frozenset(("MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"))
_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


def push(
    root: Manifest | Index,
    source: ContentSource,
    client: RegistryClient,
    repository: str,
    tags: Sequence[str],
    *,
    mount_from: Mapping[Digest, Collection[str]] | None = None,
    force: bool = False,
    keep_foreign_layers: bool = True,
    progress: Progress = silent,
) -> Pushed:
    """Makes `repository` hold the image `root`, and each of `tags` (none: no tag) name it.

    Manifests and blobs below `root` are read from `source`. `mount_from` says which repositories of the same registry
    may have a blob already. `force` uploads even what is there. Foreign layers with urls are left where they are with
    `keep_foreign_layers`, else pushed as others are. Raises DocklessError; the first there was.
    """
    check_repository(repository)
    wanted = tuple(dict.fromkeys(check_tag(tag) for tag in tags))
    check_manifest_size(root.raw, f"{client.registry}/{repository}")
    pushing = _Push(source, client, repository, mount_from or {}, force, progress)
    levels = pushing.levels(root)
    pushing.blobs = _blobs(levels, keep_foreign_layers)
    # A manifest may be there, and right, without its foreign layers.
    proves_all = not any(blob.is_foreign for blob in pushing.blobs.values())
    if not force and wanted and proves_all and pushing.all_tagged(wanted, root.digest):
        return pushing.result(root, wanted)
    pushing.below = [manifest for level in reversed(levels[1:]) for manifest in level]
    pushing.ensure_blobs()
    pushing.put_below()
    for version in wanted or (root.digest,):
        pushing.put(root, version)
    return pushing.result(root, wanted)


class _Push:
    def __init__(
        self,
        source: ContentSource,
        client: RegistryClient,
        repository: str,
        mount_from: Mapping[Digest, Collection[str]],
        force: bool,
        progress: Progress,
    ) -> None:
        self.source = source
        self.client = client
        self.repository = repository
        self.mount_from = mount_from
        self.force = force
        self.progress = progress
        self.blobs: Mapping[Digest, Descriptor] = {}
        # The manifests that `root` names, those of an inner index before it.
        self.below: Sequence[Manifest | Index] = ()
        self.crew = Crew(client.jobs)
        self.counts = {"sent": 0, "mounted": 0, "present": 0}
        self.bytes = 0
        self._lock = threading.Lock()
        # 403 to a question: from Artifactory that is a wrong password, from ECR a right that a push needs not.
        self._forbidden = False

    def all_tagged(self, tags: Iterable[str], digest: Digest) -> bool:
        """Whether every tag names the image already: then there is nothing to do."""
        return all(self._named(tag) == digest for tag in tags)

    def levels(self, root: Manifest | Index) -> list[list[Manifest | Index]]:
        """`root`, then what it lists, then what those list..., each manifest once and verified."""
        found: list[list[Manifest | Index]] = [[root]]
        seen = {root.digest}
        while True:
            below: list[Manifest | Index] = []
            for document in found[-1]:
                for child in document.manifests if isinstance(document, Index) else ():
                    if child.digest not in seen:
                        seen.add(child.digest)
                        below.append(self._read(child))
            if not below:
                return found
            if len(found) == _MAX_DEPTH:
                raise InvalidDocument(f"{root.digest} is an index of indexes, more than {_MAX_DEPTH} deep")
            found.append(below)

    def ensure_blobs(self, *, missing: Collection[Digest] | None = None) -> None:
        """Makes all blobs be there. A registry that says it misses some (`missing`) is not asked for those again."""
        # The largest first: it decides when all are there. But a config does not wait for them: its few round trips
        # would come after all else.
        ordered = sorted(self.blobs.values(), key=lambda blob: (blob.size > _SMALL, -blob.size))
        tasks = [partial(self._ensure, blob, missing) for blob in ordered]
        if self._forbidden:
            # A password may be what was refused: one thread asks what else is forbidden, not all of them.
            self.crew.run(tasks[:1])
            tasks = tasks[1:]
        self.crew.run(tasks)

    def put_below(self) -> None:
        """Stores all manifests but the root: images at a time, then the indexes of them in turn."""
        images = [manifest for manifest in self.below if isinstance(manifest, Manifest)]
        self.crew.run([partial(self.put, manifest, manifest.digest) for manifest in images])
        for manifest in self.below:
            if isinstance(manifest, Index):
                self.put(manifest, manifest.digest)

    def put(self, document: Manifest | Index, version: str) -> None:
        """Stores a manifest. A registry that misses what it said to have gets it once more."""
        try:
            self._put(document, version)
        except ResponseError as error:
            if not _MISSING.intersection(error.codes):
                raise
            self.ensure_blobs(missing={Digest(found.decode()) for found in _DIGEST.findall(error.body)})
            if isinstance(document, Index):
                for manifest in self.below:
                    self._put(manifest, manifest.digest)
            self._put(document, version)
        if version != document.digest:
            name = str(Reference(self.client.registry, self.repository, version))
            self.progress(ProgressEvent("tagged", document.descriptor, reference=name))

    def result(self, root: Manifest | Index, tags: Iterable[str]) -> Pushed:
        registry = self.client.registry
        references = tuple(str(Reference(registry, self.repository, tag)) for tag in tags)
        return Pushed(
            root.digest,
            references or (str(Reference(registry, self.repository, digest=root.digest)),),
            self.counts["sent"],
            self.bytes,
            self.counts["mounted"],
            self.counts["present"],
        )

    def _named(self, tag: str) -> Digest | None:
        """What the tag names, as far as we may know: ECR wants a right of its own for that question."""
        try:
            return self.client.head_manifest(self.repository, tag, actions=PUSH)
        except InvalidDocument:
            return None
        except ResponseError as error:
            # Who gets no token for this gets none for the rest.
            if error.transient or error.status == 401 or isinstance(error, TokenRefused):
                raise
            self._forbidden = self._forbidden or error.status == 403
            return None

    def _put(self, document: Manifest | Index, version: str) -> None:
        try:
            self.client.put_manifest(self.repository, version, document.raw, document.media_type, stop=self.crew.stop)
        except Failure as error:
            refused = isinstance(error, ResponseError) and error.status in _TAG_REFUSED
            missing = isinstance(error, ResponseError) and bool(_MISSING.intersection(error.codes))
            if version == document.digest or missing or not (refused or _may_be_done(error)):
                raise
            # An immutable tag that names this very image is what was wanted.
            try:
                if self._named(version) == document.digest:
                    if b'"subject"' in document.raw:
                        # Whether the registry knows of referrers was said in the answer that is lost.
                        register_referrer(self.client, self.repository, document.raw, document.media_type)
                    return
            except RegistryError:
                pass
            if refused:
                name = f"{self.client.registry}/{self.repository}"
                error.problem = f"the tag {version} of {name} was refused: {error.problem}"
            raise

    def _read(self, descriptor: Descriptor) -> Manifest | Index:
        what = f"the manifest {descriptor.digest}"
        with self.source.open(descriptor) as file:
            raw = file.read(descriptor.size + 1)
        if len(raw) != descriptor.size or Digest.of(raw) != descriptor.digest:
            raise InvalidDocument(f"{what} to be pushed is damaged", cause=f"its digest is {Digest.of(raw)}")
        check_manifest_size(raw, f"{self.client.registry}/{self.repository}")
        return parse_manifest(raw, what, media_type=descriptor.media_type)

    def _ensure(self, blob: Descriptor, missing: Collection[Digest] | None) -> None:
        def moved(n: int) -> None:
            self.progress(ProgressEvent("bytes", blob, n))

        def retried(error: RegistryError, pause: float) -> None:
            self.progress(ProgressEvent("retry", blob, error=str(error), pause=pause))

        self.progress(ProgressEvent("began", blob))
        # A registry that does not say which it misses is believed to miss them all.
        distrusted = missing is not None and (not missing or blob.digest in missing)
        result = self.client.ensure_blob(
            self.repository,
            blob,
            self.source,
            mount_from=() if self.force else self.mount_from.get(blob.digest, ()),
            check_first=not (self.force or distrusted),
            moved=moved,
            retried=retried,
            stop=self.crew.stop,
        )
        with self._lock:
            self.bytes += result.bytes_sent
            if missing is None:
                self.counts[result.how] += 1
        self.progress(ProgressEvent(result.how, blob))


def _may_be_done(error: Failure) -> bool:
    """Whether it is the answer to a PUT that was lost."""
    if isinstance(error, ConnectionFailed):
        return error.method == "PUT" and not error.reason
    return isinstance(error, ResponseError) and error.method == "PUT" and error.transient


def _blobs(levels: Iterable[Iterable[Manifest | Index]], keep_foreign_layers: bool) -> dict[Digest, Descriptor]:
    """Configs and layers, each once."""
    found: dict[Digest, Descriptor] = {}
    for level in levels:
        for document in level:
            if isinstance(document, Manifest):
                for blob in (*document.layers, document.config):
                    if not (keep_foreign_layers and blob.is_foreign):
                        found.setdefault(blob.digest, blob)
    return found
