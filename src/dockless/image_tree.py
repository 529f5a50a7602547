"""Images as trees: an index lists manifests, a manifest names its config and layers. Every document is verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dockless.blobs import BlobSource, VerifiedReader, read_twice
from dockless.errors import DocklessError, InvalidDocumentError
from dockless.oci import media_types
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import (
    AnyManifest,
    Index,
    Manifest,
    OtherManifest,
    blobs_of,
    parse_any_manifest,
    parse_manifest,
)

# Nested indexes are rare; deeper ones are an attack or an error.
_MAX_DEPTH = 4
# The largest list of platforms seen has a few dozen; buildkit doubles it with attestations.
_MAX_MANIFESTS = 10_000
# Bytes of all manifests and indexes of an image, which are in memory at the same time: parsed, they take several times
# as much. Ten thousand manifests of usual size have 20 MB.
_MAX_TOTAL = 64 * 1024 * 1024
# Schema 1 is not supported; its manifests are not blobs.
_MANIFESTS = media_types.DOCUMENTS | {media_types.DOCKER_SCHEMA1, media_types.DOCKER_SCHEMA1_SIGNED}


def check_total(size: int, label: str) -> None:
    """Raise InvalidDocumentError if the documents of an image have too many bytes together."""
    if size > _MAX_TOTAL:
        raise InvalidDocumentError(
            f"{label} has manifests and configs of more than {_MAX_TOTAL} bytes", cause="they do not fit in memory"
        )


def read_document(source: BlobSource, descriptor: Descriptor, label: str) -> bytes:
    """Return the bytes of a manifest, index or config, of the size and digest that `descriptor` names.

    `label` names the document in errors. Raises InvalidDocumentError for more than 4 MiB, LayoutError for bytes that
    do not match the descriptor, and what `source` raises.
    """
    if descriptor.size > DEFAULT_LIMIT:
        raise InvalidDocumentError(f"{label} has {descriptor.size} bytes", cause=f"the limit is {DEFAULT_LIMIT} bytes")
    return read_twice(lambda: _read_verified(source, descriptor, label))


def _read_verified(source: BlobSource, descriptor: Descriptor, label: str) -> bytes:
    with source.open(descriptor) as file:
        reader = VerifiedReader(file, descriptor, label)
        return b"".join(iter(lambda: reader.read(descriptor.size + 1), b""))


def read_manifest(source: BlobSource, descriptor: Descriptor, label: str) -> Manifest | Index:
    """Return the manifest or index that `descriptor` names. Raises as `read_document`, InvalidDocumentError."""
    return parse_manifest(read_document(source, descriptor, label), label, media_type=descriptor.media_type)


def read_any_manifest(source: BlobSource, descriptor: Descriptor, label: str) -> AnyManifest:
    """Return the manifest, index or artifact manifest that `descriptor` names. Raises as `read_manifest`."""
    return parse_any_manifest(read_document(source, descriptor, label), label, media_type=descriptor.media_type)


def read_image(source: BlobSource, manifest: Manifest, label: str) -> ImageDocuments:
    """Return the manifest with its config. Raises as `read_document`, InvalidDocumentError."""
    config = read_document(source, manifest.config, f"the config {manifest.config.digest} of {label}")
    return ImageDocuments.read(manifest, config, label)


@dataclass(frozen=True)
class TreeNode:
    """A manifest or index of a tree; `listed` is its descriptor in the index above, None for a root."""

    document: AnyManifest
    label: str
    listed: Descriptor | None


class ImageWalker:
    """Visits manifests and indexes, each once, an index after everything that it lists.

    `on_error` is called for each document that cannot be read, which is then left out; by default its error is raised.
    An index may list blobs of other media types that are not manifests, such as the layers of a cache: these are not
    visited, and `others` has them.
    """

    def __init__(self, source: BlobSource, on_error: Callable[[DocklessError], None] | None = None) -> None:
        self._source = source
        self._on_error = on_error
        self.others: dict[Digest, Descriptor] = {}
        self._seen: set[Digest] = set()
        self._total = 0

    def walk(self, root: AnyManifest, label: str) -> Iterator[TreeNode]:
        """Yield the documents below `root`, then `root`. `label` names the image in errors."""
        self._seen.add(root.digest)
        return self._walk(TreeNode(root, label, None), label, 0)

    def walk_listed(self, listed: Descriptor, label: str) -> Iterator[TreeNode]:
        """Yield what `walk` yields for the document that a descriptor names, unless it was visited before."""
        return self._walk_listed(listed, label, label, 0)

    def _walk_listed(self, listed: Descriptor, label: str, image: str, depth: int) -> Iterator[TreeNode]:
        if listed.digest in self._seen:
            return
        self._seen.add(listed.digest)
        try:
            if depth > _MAX_DEPTH:
                raise InvalidDocumentError(f"{label} is nested in more than {_MAX_DEPTH} indexes")
            if len(self._seen) > _MAX_MANIFESTS:
                raise InvalidDocumentError(f"{label} is one of more than {_MAX_MANIFESTS} manifests")
            if listed.media_type not in media_types.DOCUMENTS and listed.size > DEFAULT_LIMIT:
                self.others[listed.digest] = listed
                return
            check_total(self._total + listed.size, image)
            raw = read_document(self._source, listed, label)
            self._total += listed.size
            try:
                node = TreeNode(parse_any_manifest(raw, label, media_type=listed.media_type), label, listed)
            except InvalidDocumentError:
                if listed.media_type in _MANIFESTS:
                    raise
                self.others[listed.digest] = listed
                return
            if isinstance(node.document, OtherManifest) and node.document.blobs is None:
                if listed.media_type in _MANIFESTS:
                    raise node.document.error(label)
                self.others[listed.digest] = listed
                return
        except DocklessError as error:
            self._fail(error)
            return
        yield from self._walk(node, image, depth)

    def _fail(self, error: DocklessError) -> None:
        if self._on_error is None:
            raise error
        self._on_error(error)

    def _walk(self, node: TreeNode, image: str, depth: int) -> Iterator[TreeNode]:
        if isinstance(node.document, OtherManifest) and node.document.blobs is None:
            self._fail(node.document.error(node.label))
            return
        if isinstance(node.document, Index):
            if node.document.unsupported:
                self._fail(
                    InvalidDocumentError(
                        f"{node.label} lists the manifest {node.document.unsupported[0].digest}",
                        cause="only sha256 digests are supported",
                        hint="select an image with `--platform`",
                    )
                )
            for child in node.document.manifests:
                yield from self._walk_listed(child, f"{image} ({child.platform or child.digest})", image, depth + 1)
        yield node


@dataclass(frozen=True)
class ImageTree:
    """A root and everything below it.

    `documents` are manifests and indexes by digest, an index after everything that it lists, the root last; `blobs`
    are configs and layers by digest, and blobs of other media types that an index lists.
    """

    root: AnyManifest
    documents: Mapping[Digest, AnyManifest]
    blobs: Mapping[Digest, Descriptor]

    @classmethod
    def of(cls, root: AnyManifest, documents: Sequence[AnyManifest]) -> ImageTree:
        """Return the tree of documents in the order that `documents` describes."""
        blobs: dict[Digest, Descriptor] = {}
        for document in documents:
            if not isinstance(document, Index):
                for blob in blobs_of(document):
                    known = blobs.setdefault(blob.digest, blob)
                    if known.is_foreign and not blob.is_foreign:
                        # Foreign layers may be left out. This one is also a layer that has no other source.
                        blobs[blob.digest] = blob
        return cls(root, {document.digest: document for document in documents}, blobs)

    @classmethod
    def read(cls, root: AnyManifest, source: BlobSource, label: str) -> ImageTree:
        """Return the tree below `root`, read from `source`; `label` names the image in errors.

        Raises as `read_document`, and InvalidDocumentError for nesting over 4 deep or more than 10,000 manifests.
        """
        walker = ImageWalker(source)
        tree = cls.of(root, [node.document for node in walker.walk(root, label)])
        return cls(root, tree.documents, {**walker.others, **tree.blobs})

    @property
    def all_blobs(self) -> list[Descriptor]:
        """Everything that a layout holds: configs and layers, then the documents that name them."""
        return [*self.blobs.values(), *(document.descriptor for document in self.documents.values())]
