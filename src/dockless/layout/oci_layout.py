"""OCI image layouts: blobs and an index, in a directory or a tar archive (OCI image spec, image-layout.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from dockless.errors import InvalidDocumentError, InvalidValueError, LayoutError, printable
from dockless.image_tree import read_manifest
from dockless.layout.files import DirectoryFiles, Files, read_small
from dockless.oci.canonical_json import DEFAULT_LIMIT, parse_document, write_document
from dockless.oci.descriptor import Descriptor, UnsupportedEntry
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, Manifest, make_index
from dockless.oci.reference import Reference, check_tag
from dockless.tar.index import TarFiles

REF_NAME = "org.opencontainers.image.ref.name"
# The whole reference, as `docker save` and containerd write it. Docker, containerd and Podman load the image under it.
LOADED_NAME = "io.containerd.image.name"
LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT_VERSION = "1.0.0"


def blob_path(digest: Digest) -> str:
    """Return the path of a blob in a layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def layout_file() -> bytes:
    """Return the content of the file that marks a directory as a layout."""
    return write_document({"imageLayoutVersion": LAYOUT_VERSION})


def layout_files(roots: Iterable[Descriptor], documents: Mapping[Digest, bytes]) -> dict[str, bytes]:
    """Return the files of a layout whose index lists `roots`, without layers: path -> content."""
    return {
        LAYOUT_FILE: layout_file(),
        INDEX_FILE: make_index(tuple(roots)).raw,
        **{blob_path(digest): data for digest, data in documents.items()},
    }


def named(descriptor: Descriptor, names: Sequence[str]) -> list[Descriptor]:
    """Return the index entries for `descriptor`: one for each name, or one without a name."""
    others = {key: value for key, value in (descriptor.annotations or {}).items() if key != REF_NAME}
    if not names:
        return [descriptor._replace(annotations=others or None)]
    return [descriptor._replace(annotations={**others, REF_NAME: name}) for name in names]


def with_loaded_name(root: Descriptor, source: Reference | None = None) -> Descriptor:
    """Return an entry of an archive's index with the reference that Docker and Podman give the image that they load.

    It is the name of the entry, if that is a reference, or the reference `source` that the image comes from, with the
    name as its tag. An entry without either has no such reference.
    """
    name = name_of(root)
    try:
        if "/" in name or ":" in name:
            reference = Reference.parse(name)
        elif source is not None and (name or source.tag):
            reference = Reference(source.registry, source.repository, check_tag(name or source.tag))
        else:
            return root
    except InvalidValueError:
        return root
    if reference.digest:
        return root
    loaded = f"{reference.name}:{reference.version}"
    return root._replace(annotations={**(root.annotations or {}), LOADED_NAME: loaded})


def name_of(entry: Descriptor | UnsupportedEntry) -> str:
    """Return the name of an index entry; empty if it has none."""
    return (entry.annotations or {}).get(REF_NAME, "")


def _unsupported(where: str, entry: UnsupportedEntry) -> LayoutError:
    return LayoutError(
        f"cannot read the image {printable(entry.digest, 150)} of {where}",
        cause="only sha256 digests are supported",
        hint="write the image again with sha256 digests",
    )


class OciLayout:
    """An OCI layout, read only. A BlobSource."""

    def __init__(self, directory: str, *, files: Files | None = None) -> None:
        """Read the index of the layout. Raises LayoutError if `directory` (or `files`) is not an OCI layout."""
        self.files = files or DirectoryFiles(directory)
        self.where = directory
        version = self._document(LAYOUT_FILE).get("imageLayoutVersion")
        if version != LAYOUT_VERSION:
            raise LayoutError(
                f"{directory}: {LAYOUT_FILE} does not have the version {LAYOUT_VERSION}",
                cause=f"its version is {version!r:.50}",
            )
        label = f"{directory}: {INDEX_FILE}"
        try:
            self.index = Index.from_bytes(self._small(INDEX_FILE), label)
        except InvalidDocumentError as error:
            raise LayoutError(error.problem, cause=error.cause, hint=error.hint) from error

    @classmethod
    def in_archive(cls, path: str) -> OciLayout:
        """Open the layout in an oci-archive, compressed or not. `close` closes the archive."""
        files = TarFiles(path)
        try:
            return cls(path, files=files)
        except LayoutError:
            files.close()
            raise

    def close(self) -> None:
        """Close the archive that the layout is in, if it is in one."""
        if isinstance(self.files, TarFiles):
            self.files.close()

    def names(self) -> list[str]:
        """Return the names of the images in the index."""
        return sorted({*map(name_of, self.index.manifests), *map(name_of, self.index.unsupported)} - {""})

    def root(self, name: str = "") -> Descriptor:
        """Return the image with this name (an annotation of its entry) or digest, or the only image.

        Raises LayoutError.
        """
        available = f"it has {', '.join(self.names())}" if self.names() else f"no image in {self.where} has a name"
        if name:
            for descriptor in self.index.manifests:
                if name in (name_of(descriptor), descriptor.digest):
                    return descriptor
            for descriptor in self.index.manifests:
                if name == (descriptor.annotations or {}).get(LOADED_NAME):
                    return descriptor
            for entry in self.index.unsupported:
                if name in (name_of(entry), entry.digest):
                    raise _unsupported(self.where, entry)
            raise LayoutError(f"{self.where} has no image with the name {name!r:.200}", cause=available)
        images = {descriptor.digest: descriptor for descriptor in self.index.manifests}
        others = {entry.digest: entry for entry in self.index.unsupported}
        count = len(images) + len(others)
        if not count:
            raise LayoutError(f"{self.where} has no image")
        if count != 1:
            hint = "name one image" if self.names() else "name one image by its digest"
            raise LayoutError(f"{self.where} has {count} images", cause=available, hint=hint)
        if others:
            raise _unsupported(self.where, next(iter(others.values())))
        return next(iter(images.values()))

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Return the blob's file. Raises LayoutError if it is missing or not a regular file."""
        try:
            return self.files.open(blob_path(descriptor.digest))
        except LayoutError as error:
            raise LayoutError(
                f"{self.where} lacks the blob {descriptor.digest}", cause=error.cause or error.problem
            ) from error

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """Return the manifest or index with this descriptor; size and digest are verified.

        Raises LayoutError, and InvalidDocumentError.
        """
        return read_manifest(self, descriptor, f"{self.where}: {descriptor.digest}")

    def _small(self, name: str) -> bytes:
        try:
            return read_small(self.files, name, DEFAULT_LIMIT)
        except LayoutError as error:
            raise LayoutError(
                f"{self.where} is not an OCI layout",
                cause=f"{error.problem}: {error.cause}".strip(": "),
                hint=error.hint,
            ) from error

    def _document(self, name: str) -> dict[str, Any]:
        try:
            return parse_document(self._small(name), f"{self.where}: {name}")
        except InvalidDocumentError as error:
            raise LayoutError(error.problem, cause=error.cause, hint=error.hint) from error
