"""Pushes an image: blobs, then manifests by digest, then the index, then the tags.

A tag moves last, when all that it names was seen to be in the repository: whatever dies on the way leaves it as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import partial
from typing import NamedTuple

from dockless import media_types
from dockless.content import ContentSource
from dockless.descriptor import Descriptor
from dockless.digest import Digest
from dockless.errors import InvalidDocument
from dockless.manifest import Index, Manifest, parse_manifest
from dockless.reference import Reference, check_repository, check_tag
from dockless.registry.client import RegistryClient, check_manifest_size
from dockless.registry.errors import RegistryError, ResponseError
from dockless.registry.progress import Progress, ProgressEvent, silent

_MAX_DEPTH = 4
_TAG_REFUSED = frozenset((400, 403, 405, 409, 412))


class Pushed(NamedTuple):
    """What a push did. `references` are all that name the image now; bytes are those of blobs, over the wire."""

    digest: Digest
    references: tuple[str, ...]
    blobs_sent: int = 0
    bytes_sent: int = 0
    blobs_mounted: int = 0
    blobs_present: int = 0


def push(
    root: Manifest | Index,
    source: ContentSource,
    client: RegistryClient,
    repository: str,
    tags: Sequence[str],
    *,
    mount_from: Mapping[Digest, Collection[str]] | None = None,
    force: bool = False,
    progress: Progress = silent,
) -> Pushed:
    """Makes `repository` hold the image `root`, and each of `tags` (none: no tag) name it.

    Manifests and blobs below `root` are read from `source`. `mount_from` says which repositories of the same registry
    may have a blob already. `force` uploads even what is there. Raises DocklessError; the first there was.
    """
    check_repository(repository)
    wanted = tuple(dict.fromkeys(check_tag(tag) for tag in tags))
    check_manifest_size(root.raw, f"{client.registry}/{repository}")
    pushing = _Push(source, client, repository, mount_from or {}, force, progress)
    if not force and wanted and pushing.all_tagged(wanted, root.digest):
        return pushing.result(root, wanted)
    levels = pushing.levels(root)
    blobs = pushing.blobs(levels)
    pushing.ensure(blobs)
    for level in reversed(levels[1:]):
        pushing.parallel([partial(pushing.put, manifest, manifest.digest, blobs) for manifest in level])
    if not wanted:
        pushing.put(root, root.digest, blobs)
    for tag in wanted:
        pushing.put(root, tag, blobs)
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
        self.counts = {"sent": 0, "mounted": 0, "present": 0}
        self.bytes = 0
        self._lock = threading.Lock()

    def all_tagged(self, tags: Iterable[str], digest: Digest) -> bool:
        """Whether every tag names the image already: then there is nothing to do."""
        return all(self.client.head_manifest(self.repository, tag) == digest for tag in tags)

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

    def blobs(self, levels: Iterable[Iterable[Manifest | Index]]) -> dict[Digest, Descriptor]:
        """Configs and layers, each once. Layers that are kept elsewhere (foreign, with urls) are not pushed."""
        found: dict[Digest, Descriptor] = {}
        for level in levels:
            for document in level:
                if isinstance(document, Manifest):
                    for blob in (*document.layers, document.config):
                        if not (blob.urls and media_types.is_foreign(blob.media_type)):
                            found.setdefault(blob.digest, blob)
        return found

    def ensure(self, blobs: Mapping[Digest, Descriptor], *, again: bool = False) -> None:
        # The largest first: it decides when all are there.
        ordered = sorted(blobs.values(), key=lambda blob: -blob.size)
        self.parallel([partial(self._ensure, blob, again) for blob in ordered])

    def parallel(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Runs all; the first failure stops those that have not begun, and is raised."""
        if len(tasks) == 1:
            tasks[0]()
            return
        with ThreadPoolExecutor(max_workers=self.client.jobs) as pool:
            running = [pool.submit(task) for task in tasks]
            try:
                done, _ = wait(running, return_when=FIRST_EXCEPTION)
            finally:
                for future in running:
                    future.cancel()
            failed = [future for future in running if future in done and future.exception() is not None]
        for future in failed or running:
            future.result()

    def put(self, document: Manifest | Index, version: str, blobs: Mapping[Digest, Descriptor]) -> None:
        """Stores a manifest. A registry that misses a blob which it said to have gets one more chance."""
        try:
            self.client.put_manifest(self.repository, version, document.raw, document.media_type)
        except ResponseError as error:
            if {"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"}.intersection(error.codes):
                self.ensure(blobs, again=True)
                self.client.put_manifest(self.repository, version, document.raw, document.media_type)
            elif version != document.digest and error.status in _TAG_REFUSED:
                self._refused_tag(document, version, error)
            else:
                raise
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

    def _refused_tag(self, document: Manifest | Index, tag: str, error: ResponseError) -> None:
        """An immutable tag that names this very image is what was wanted."""
        try:
            if self.client.head_manifest(self.repository, tag) == document.digest:
                return
        except RegistryError:
            pass
        error.problem = f"the tag {tag} of {self.client.registry}/{self.repository} was refused: {error.problem}"
        raise error

    def _read(self, descriptor: Descriptor) -> Manifest | Index:
        what = f"the manifest {descriptor.digest}"
        with self.source.open(descriptor) as file:
            raw = file.read(descriptor.size + 1)
        if len(raw) != descriptor.size or Digest.of(raw) != descriptor.digest:
            raise InvalidDocument(f"{what} to be pushed is damaged", cause=f"its digest is {Digest.of(raw)}")
        check_manifest_size(raw, f"{self.client.registry}/{self.repository}")
        return parse_manifest(raw, what, media_type=descriptor.media_type)

    def _ensure(self, blob: Descriptor, again: bool) -> None:
        def moved(n: int) -> None:
            self.progress(ProgressEvent("bytes", blob, n))

        self.progress(ProgressEvent("began", blob))
        result = self.client.ensure_blob(
            self.repository,
            blob,
            self.source,
            mount_from=() if self.force else self.mount_from.get(blob.digest, ()),
            # A registry that was wrong about having it is not asked a second time.
            check_first=not (self.force or again),
            progress=moved,
        )
        with self._lock:
            self.counts[result.how] += 1
            self.bytes += result.bytes_sent
        self.progress(ProgressEvent(result.how, blob))
