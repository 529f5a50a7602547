"""Verifies an image and everything that belongs to it, and reports all problems."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from dockless._concurrency import WorkerPool
from dockless._files import open_regular, size_of_holes
from dockless._lines import BoundedLines
from dockless.blobs import BlobSource, read_twice
from dockless.errors import DocklessError, InvalidDocumentError, LayoutError
from dockless.image_tree import ImageWalker, TreeNode, read_document
from dockless.layout.docker_archive_reader import DockerArchive
from dockless.layout.files import read_small
from dockless.layout.oci_layout import OciLayout, name_of
from dockless.mutate.assemble import is_windows
from dockless.oci import media_types
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments, NotAnImageError
from dockless.oci.manifest import Manifest, OtherManifest
from dockless.oci.platform import Platform, to_platform
from dockless.oci.validation import find_problems
from dockless.registry.progress import Progress, ProgressEvent, check_progress, silent
from dockless.transfer.locations import DOCKER_ARCHIVE, OCI, OCI_ARCHIVE, Location, to_location
from dockless.transfer.open import open_image, select_manifest
from dockless.transfer.registry_access import RegistryAccess, to_access
from dockless.transfer.verify_layer import layer_problems

_BYTES = "application/octet-stream"
_MAX_DIFF_IDS = 3
# Bytes of holes of sparse files in a layout that are read, in all: a file of any size costs its owner nothing.
_MAX_HOLES = 1 << 30
_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class VerifyResult:
    """The result of a verification.

    digests        of the roots
    manifests      the number of manifests and indexes that were read
    blobs          the number of configs and layers that were read
    bytes          the size of everything that was read
    foreign        foreign layers that the source does not have, which were not verified
    unsupported    the digests of other algorithms than sha256 that a layout lists. The manifest is compared with such
                   a digest, what it names is not verified
    problems       a line for each problem; empty if there are none. Of many problems of one kind, 20 have a line, and
                   one line has the number of the others
    problem_count  the number of problems
    """

    digests: tuple[Digest, ...]
    manifests: int
    blobs: int
    bytes: int
    foreign: tuple[Digest, ...]
    problems: tuple[str, ...]
    problem_count: int
    unsupported: tuple[str, ...] = ()


def verify_image(
    source: str | Location,
    *,
    access: RegistryAccess | None = None,
    platform: str | Platform | None = None,
    progress: Progress = silent,
) -> VerifyResult:
    """Read and verify every manifest, config and layer of the image at `source`, or only the image for `platform`.

    The verification covers sizes and digests, the diff IDs and tar structure of layers, and the rules of the image
    specification; for artifacts, only sizes and digests. Without an image name, all images of a layout or archive are
    verified, and all blobs of a layout. Raises DocklessError only if the source cannot be opened.
    """
    source = to_location(source)
    access = to_access(access)
    platform = to_platform(platform)
    check_progress(progress)
    if source.kind == DOCKER_ARCHIVE and not source.name and platform is None:
        with closing(DockerArchive(source.path)) as archive:
            verification = _Verification(archive, access.jobs, progress)
            images = archive.images()
            for image in images:
                verification.add(verification.walker.walk(image.manifest, str(source)))
            verification.verify_layers()
        return verification.result(image.manifest.digest for image in images)
    if source.kind in (OCI, OCI_ARCHIVE) and not source.name and platform is None:
        with closing(OciLayout(source.path) if source.kind == OCI else OciLayout.in_archive(source.path)) as layout:
            verification = _Verification(layout, access.jobs, progress)
            if source.kind == OCI:
                verification.unread = _sparse_blobs(source.path)
            for listed in layout.index.manifests:
                verification.add(verification.walker.walk_listed(listed, name_of(listed) or listed.digest))
            verification.verify_layers()
            if source.kind == OCI:
                for problem in _unnamed_blob_problems(source.path, (*verification.sizes, *verification.unread)):
                    verification.problems.add("files that are not valid blobs", problem)
                for path in verification.unread.values():
                    verification.problems.add("sparse files", f"{path} is a sparse file with too many holes")
            for problem in _unsupported_problems(layout):
                verification.problems.add("documents that cannot be read", problem)
        unsupported = tuple(entry.digest for entry in layout.index.unsupported)
        return verification.result((listed.digest for listed in layout.index.manifests), unsupported)
    with open_image(source, access) as opened:
        root = opened.root if platform is None else select_manifest(opened, platform)
        verification = _Verification(opened.source, access.jobs, progress)
        verification.add(verification.walker.walk(root, str(source)))
        verification.verify_layers()
    return verification.result([root.digest])


class _Verification:
    def __init__(self, source: BlobSource, jobs: int, progress: Progress) -> None:
        self.problems = BoundedLines()
        # Everything that was read.
        self.sizes: dict[Digest, int] = {}
        self.walker = ImageWalker(source, self._add_error)
        self._source = source
        self._jobs = jobs
        self._progress = progress
        self._manifests = 0
        self._foreign: dict[Digest, None] = {}
        # A layer of several images is read once, and compared with the diff IDs of all of them.
        self._layers: dict[Digest, tuple[Descriptor, set[Digest]]] = {}
        # Blobs that are not read, and reported by the caller, with their paths.
        self.unread: dict[Digest, str] = {}
        # The layers of images for Windows.
        self._windows_layers: set[Digest] = set()

    def result(self, roots: Iterable[Digest], unsupported: tuple[str, ...] = ()) -> VerifyResult:
        return VerifyResult(
            digests=tuple(dict.fromkeys(roots)),
            manifests=self._manifests,
            blobs=len(self.sizes) - self._manifests,
            bytes=sum(self.sizes.values()),
            foreign=tuple(self._foreign),
            problems=self.problems.lines(),
            problem_count=self.problems.count,
            unsupported=unsupported,
        )

    def _add_error(self, error: DocklessError) -> None:
        self.problems.add("documents that cannot be read", str(error))

    def add(self, nodes: Iterable[TreeNode]) -> None:
        """Verify the documents of a tree, and note their layers for `verify_layers`."""
        for node in nodes:
            if node.document.digest not in self.sizes:
                self._manifests += 1
            self.sizes[node.document.digest] = len(node.document.raw)
            if isinstance(node.document, Manifest):
                diff_ids = self._verify_config(node.document, node)
                self._add_layers(node.document.layers, diff_ids, f"{node.label}: layer")
            elif isinstance(node.document, OtherManifest):
                self._add_layers(node.document.blobs or (), None, f"{node.label}: blob")

    def _add_layers(self, layers: Iterable[Descriptor], diff_ids: tuple[Digest, ...] | None, label: str) -> None:
        for n, layer in enumerate(layers):
            if diff_ids is None:
                # The content of an artifact is not specified, whatever its media type is.
                layer = layer._replace(media_type=_BYTES)
            known, known_diff_ids = self._layers.setdefault(layer.digest, (layer, set()))
            if known.size != layer.size:
                self.problems.add(
                    "layers with several sizes",
                    f"{label} {n} has the size {layer.size} here, and the size {known.size} in another manifest",
                )
            if (known.is_foreign and not layer.is_foreign) or (known.media_type == _BYTES and diff_ids is not None):
                self._layers[layer.digest] = layer, known_diff_ids
            if diff_ids:
                known_diff_ids.add(diff_ids[n])

    def _verify_config(self, manifest: Manifest, node: TreeNode) -> tuple[Digest, ...] | None:
        """Return the diff IDs; none of them if the config cannot be read, and None for an artifact."""
        try:
            raw = read_document(self._source, manifest.config, f"the config {manifest.config.digest} of {node.label}")
        except DocklessError as error:
            self._add_error(error)
            return ()
        self.sizes[manifest.config.digest] = len(raw)
        if manifest.layers and not any(media_types.is_layer(layer.media_type) for layer in manifest.layers):
            # Attestations of BuildKit have the config of an image.
            return None
        try:
            image = ImageDocuments.read(manifest, raw, node.label)
        except NotAnImageError:
            # An artifact (a signature, a chart) is valid: its layers are verified as blobs.
            return None
        except InvalidDocumentError as error:
            self._add_error(error)
            return ()
        for rule in find_problems(image, node.listed):
            self.problems.add(f"problems of {node.label}", f"{node.label}: {rule}")
        if is_windows(image.platform):
            self._windows_layers.update(layer.digest for layer in manifest.layers)
        return image.config.diff_ids

    def verify_layers(self) -> None:
        """Read and verify the layers of all manifests, and the blobs that indexes list."""
        for other in self.walker.others.values():
            self._layers.setdefault(other.digest, (other._replace(media_type=_BYTES), set()))
        problems: dict[Digest, BoundedLines] = {}

        def verify(layer: Descriptor, diff_ids: set[Digest]) -> None:
            problems[layer.digest] = self._verify_layer(layer, diff_ids)

        WorkerPool(self._jobs).run([partial(verify, *entry) for entry in self._layers.values()])
        for digest in self._layers:
            self.problems.merge(problems[digest])

    def _verify_layer(self, layer: Descriptor, diff_ids: set[Digest]) -> BoundedLines:
        problems = BoundedLines()
        if layer.digest in self.unread:
            return problems
        self._progress(ProgressEvent("began", layer))
        if len(diff_ids) > 1:
            several = ", ".join(sorted(diff_ids)[:_MAX_DIFF_IDS]) + (", ..." if len(diff_ids) > _MAX_DIFF_IDS else "")
            problems.add("layers with several diff IDs", f"the layer {layer.digest} has several diff IDs: {several}")
        read = 0

        def on_bytes(layer: Descriptor, size: int) -> None:
            nonlocal read
            read += size
            self._progress(ProgressEvent("bytes", layer, size))

        def read_layer() -> BoundedLines:
            with self._source.open(layer) as file:
                self.sizes[layer.digest] = layer.size
                windows = layer.digest in self._windows_layers
                return layer_problems(file, layer, next(iter(diff_ids), None), on_bytes, windows=windows)

        try:
            problems.merge(read_twice(read_layer, lambda: on_bytes(layer, -read)))
        except DocklessError as error:
            if layer.is_foreign and layer.digest not in self.sizes:
                self._foreign[layer.digest] = None
                return BoundedLines()
            problems.add("layers that cannot be read", str(error))
        self._progress(ProgressEvent("invalid" if problems.count else "verified", layer))
        return problems


def _unsupported_problems(layout: OciLayout) -> Iterator[str]:
    """Yield the problems of the documents with other digests than sha256, as far as this Python has the algorithm."""
    for entry in layout.index.unsupported:
        algorithm, _, encoded = entry.digest.partition(":")
        if algorithm not in ("sha384", "sha512"):
            continue
        try:
            raw = read_small(layout.files, f"blobs/{algorithm}/{encoded}", DEFAULT_LIMIT)
        except LayoutError as error:
            yield f"{layout.where} lacks the blob {entry.digest}: {error.cause or error.problem}"
            continue
        found = hashlib.new(algorithm, raw).hexdigest()
        if found != encoded:
            yield f"the blob {entry.digest} is damaged: its digest is {algorithm}:{found}"


def _sparse_blobs(directory: str) -> dict[Digest, str]:
    """Return the path of each blob file in a layout that is not read, because it has too many holes."""
    left, found = _MAX_HOLES, {}
    for name in _listed(os.path.join(directory, "blobs", "sha256")):
        path = os.path.join(directory, "blobs", "sha256", name)
        try:
            with open_regular(path, follow_symlinks=False) as file:
                state = os.fstat(file.fileno())
                holes = size_of_holes(file, left) if _HEX.match(name) and state.st_blocks * 512 < state.st_size else 0
        except OSError:
            # Reported when the file is read.
            continue
        if holes > left:
            found[Digest(f"sha256:{name}")] = path
        else:
            left -= holes
    return found


def _listed(blobs: str) -> list[str]:
    """Return the names in the directory of blobs; none if it is a symlink or does not exist."""
    linked = os.path.islink(blobs) or os.path.islink(os.path.dirname(blobs))
    return sorted(os.listdir(blobs)) if not linked and os.path.isdir(blobs) else []


def _unnamed_blob_problems(directory: str, verified: Iterable[Digest]) -> Iterator[str]:
    """Yield the problems of blobs that no document names: they are allowed, but must match their file names."""
    known = set(verified)
    blobs = os.path.join(directory, "blobs", "sha256")
    for path in (os.path.dirname(blobs), blobs):
        if os.path.islink(path):
            # The link may lead to any directory of the machine. The digest of a short file tells what is in the file.
            yield f"{path} is a symlink"
            return
    # Hard links give a file any number of names.
    digests: dict[tuple[int, int], Digest] = {}
    for name in _listed(blobs):
        path = os.path.join(blobs, name)
        if f"sha256:{name}" in known:
            continue
        if not _HEX.match(name):
            yield f"{path} is not named by a digest"
            continue
        if os.path.islink(path) or not os.path.isfile(path):
            yield f"{path} is not a regular file"
            continue
        try:
            with open_regular(path, follow_symlinks=False) as file:
                state = os.fstat(file.fileno())
                key = state.st_dev, state.st_ino
                digest = digests[key] = digests.get(key) or Digest.of_file(file)
        except OSError as error:
            yield f"{path} cannot be read: {error.strerror or error}"
            continue
        if digest.hex != name:
            yield f"{path} does not match its name: its digest is {digest}"
