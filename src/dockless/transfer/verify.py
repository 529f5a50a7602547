"""Checks an image and everything that belongs to it, and names all that is wrong."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import NamedTuple

from dockless._concurrency import WorkerPool
from dockless.blobs import BlobSource
from dockless.errors import DocklessError, InvalidDocumentError
from dockless.layout.blob_copy import copy_blob
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.layout.oci_layout import OciLayout, name_of
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Index, Manifest, parse_manifest
from dockless.oci.platform import Platform
from dockless.oci.validation import find_problems
from dockless.registry.progress import Progress, ProgressEvent, silent
from dockless.transfer.locations import DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, Location, to_location
from dockless.transfer.open import choose, open_source
from dockless.transfer.registry_access import Access
from dockless.transfer.verify_layer import wrong_in_layer

_MAX_DEPTH = 4
_IN_TOTO = "application/vnd.in-toto+json"


class Verified(NamedTuple):
    """What was looked at, and `wrong`: a line for each thing that is. `elsewhere` are foreign layers, not looked at."""

    digests: tuple[Digest, ...]
    manifests: int
    blobs: int
    bytes: int
    elsewhere: tuple[Digest, ...]
    wrong: tuple[str, ...]


def verify_image(
    where: str | Location,
    *,
    access: Access | None = None,
    platform: str | Platform | None = None,
    progress: Progress = silent,
) -> Verified:
    """Reads every manifest, config and layer of the image at `where`, with `platform` only of that one.

    Checked are sizes and digests, what is inside of layers against the diff ids, their tars, and the image spec's
    rules. A layout or archive without a name is checked whole, a layout with every blob in it. Raises DocklessError
    only for what cannot be opened at all.
    """
    where = to_location(where)
    access = access or Access()
    wanted = Platform.parse(platform) if isinstance(platform, str) else platform
    verifying = _Verifying(access.jobs, progress)
    if where.kind == DOCKER_ARCHIVE and not where.name and wanted is None:
        with closing(DockerArchive(where.path)) as archive:
            images = archive.images()
            for image in images:
                verifying.document(image.manifest, archive, str(where), None, 0)
            verifying.layers(archive)
        return verifying.result([image.manifest.digest for image in images])
    if where.kind in (OCI, OCI_ARCHIVE) and not where.name and wanted is None:
        layout = OciLayout(where.path) if where.kind == OCI else OciLayout.in_archive(where.path)
        try:
            for listed in layout.index.manifests:
                verifying.descend(listed, layout, name_of(listed) or listed.digest, 0)
            verifying.layers(layout)
            verifying.wrong += _strays(where.path, verifying.seen) if where.kind == OCI else ()
        finally:
            layout.close()
        return verifying.result([listed.digest for listed in layout.index.manifests])
    with open_source(where, access) as source:
        root = source.root if wanted is None else choose(source, wanted)
        verifying.document(root, source.content, str(where), None, 0)
        verifying.layers(source.content)
    return verifying.result([root.digest])


class _Verifying:
    def __init__(self, jobs: int, progress: Progress) -> None:
        self.wrong: list[str] = []
        self.seen: dict[Digest, int] = {}
        self._jobs = jobs
        self._progress = progress
        self._manifests = 0
        self._elsewhere: dict[Digest, None] = {}
        # A layer of several images is read once; each diff id that they say it has is compared.
        self._layers: dict[Digest, tuple[Descriptor, set[Digest]]] = {}

    def result(self, roots: list[Digest]) -> Verified:
        return Verified(
            tuple(dict.fromkeys(roots)),
            self._manifests,
            len(self.seen) - self._manifests,
            sum(self.seen.values()),
            tuple(self._elsewhere),
            tuple(dict.fromkeys(self.wrong)),
        )

    def descend(self, child: Descriptor, content: BlobSource, what: str, depth: int) -> None:
        if child.digest in self.seen:
            return
        raw = self._small(child, content, f"{what}: the manifest")
        if raw is not None:
            try:
                found = parse_manifest(raw, what, media_type=child.media_type)
            except ValueError as error:
                self.wrong.append(str(error))
                return
            self.document(found, content, what, child, depth)

    def document(
        self,
        found: Manifest | Index,
        content: BlobSource,
        what: str,
        listed: Descriptor | None,
        depth: int,
    ) -> None:
        self.seen[found.digest] = len(found.raw)
        self._manifests += 1
        if isinstance(found, Index):
            if depth == _MAX_DEPTH:
                self.wrong.append(f"{what}: indexes of indexes, more than {_MAX_DEPTH} deep")
                return
            for child in found.manifests:
                self.descend(child, content, f"{what} ({child.platform or child.digest})", depth + 1)
            return
        diff_ids = self._config(found, content, what, listed)
        for n, layer in enumerate(found.layers):
            known = self._layers.setdefault(layer.digest, (layer, set()))
            if known[0].size != layer.size:
                self.wrong.append(
                    f"{what}: layer {n} is said to have {layer.size} bytes, and elsewhere {known[0].size}"
                )
            if diff_ids:
                known[1].add(diff_ids[n])

    def layers(self, content: BlobSource) -> None:
        found: dict[Digest, list[str]] = {}

        def look(layer: Descriptor, diff_ids: set[Digest]) -> None:
            found[layer.digest] = self._layer(layer, diff_ids, content)

        WorkerPool(self._jobs).run([partial(look, *entry) for entry in self._layers.values()])
        for digest in self._layers:
            self.wrong += found[digest]

    def _layer(self, layer: Descriptor, diff_ids: set[Digest], content: BlobSource) -> list[str]:
        self._progress(ProgressEvent("began", layer))
        try:
            file = content.open(layer)
        except DocklessError as error:
            if layer.is_foreign:
                self._elsewhere[layer.digest] = None
                return []
            return [str(error)]
        wrong = []
        if len(diff_ids) > 1:
            wrong.append(f"the layer {layer.digest} has several diff ids: {', '.join(sorted(diff_ids))}")
        try:
            with file:
                wrong += wrong_in_layer(file, layer, next(iter(diff_ids), None), self._moved)
        except DocklessError as error:
            wrong.append(str(error))
        self.seen[layer.digest] = layer.size
        self._progress(ProgressEvent("verified", layer))
        return wrong

    def _moved(self, layer: Descriptor, size: int) -> None:
        self._progress(ProgressEvent("bytes", layer, size))

    def _config(
        self, manifest: Manifest, content: BlobSource, what: str, listed: Descriptor | None
    ) -> tuple[Digest, ...]:
        """The diff ids; none when they cannot be had."""
        raw = self._small(manifest.config, content, f"{what}: the config")
        if raw is None:
            return ()
        self.seen[manifest.config.digest] = len(raw)
        try:
            image = ImageDocuments.read(manifest, raw, what)
        except ValueError as error:
            if not _is_artifact(error):
                self.wrong.append(str(error))
            return ()
        if manifest.layers and all(layer.media_type == _IN_TOTO for layer in manifest.layers):
            # buildkit's attestations, which have the config of an image.
            return ()
        self.wrong += [f"{what}: {rule}" for rule in find_problems(image, listed)]
        return image.config.diff_ids

    def _small(self, descriptor: Descriptor, content: BlobSource, what: str) -> bytes | None:
        """A document's bytes; None, with what is wrong noted, when they cannot be had."""
        if descriptor.size > DEFAULT_LIMIT:
            self.wrong.append(f"{what} is said to have {descriptor.size} bytes, more than {DEFAULT_LIMIT}")
            return None
        data = io.BytesIO()
        try:
            copy_blob(content, descriptor, data)
        except DocklessError as error:
            self.wrong.append(f"{what}: {error}")
            return None
        return data.getvalue()


def _is_artifact(error: ValueError) -> bool:
    """An artifact beside images (attestations, charts) is right as it is: its layers are checked as blobs."""
    return isinstance(error, InvalidDocumentError) and error.problem.endswith("is an artifact, not an image")


def _strays(directory: str, seen: dict[Digest, int]) -> Iterator[str]:
    """What is wrong with blobs that nothing names: they are no harm, but they must be what they are called."""
    blobs = os.path.join(directory, "blobs", "sha256")
    for name in sorted(os.listdir(blobs)) if os.path.isdir(blobs) else ():
        path = os.path.join(blobs, name)
        if f"sha256:{name}" in seen:
            continue
        if os.path.islink(path) or not os.path.isfile(path):
            yield f"{path} is no plain file"
            continue
        with open(path, "rb") as file:
            digest = Digest.of_file(file)
        if digest.hex != name:
            yield f"{path} is not what it is called: its digest is {digest}"
