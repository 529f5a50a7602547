"""OCI image layouts: blobs and an index of them, in a folder or a tar (OCI image spec, image-layout.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from dockless.errors import InvalidDocumentError, InvalidValueError, LayoutError
from dockless.layout.files import Files, FolderFiles, read_small
from dockless.oci.canonical_json import DEFAULT_LIMIT, parse_document, write_document
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, Manifest, make_index, parse_manifest
from dockless.tar.index import TarFiles

REF_NAME = "org.opencontainers.image.ref.name"
LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
LAYOUT_VERSION = "1.0.0"


def blob_path(digest: Digest) -> str:
    """Where a layout keeps a blob, relative to its folder."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def layout_file() -> bytes:
    """The content of the file that says that a folder is a layout."""
    return write_document({"imageLayoutVersion": LAYOUT_VERSION})


def layout_files(roots: Iterable[Descriptor], documents: Mapping[Digest, bytes]) -> dict[str, bytes]:
    """The small files of a layout whose index lists `roots`: path in the folder -> content; no layers."""
    return {
        LAYOUT_FILE: layout_file(),
        INDEX_FILE: make_index(tuple(roots)).raw,
        **{blob_path(digest): data for digest, data in documents.items()},
    }


def named(descriptor: Descriptor, names: Sequence[str]) -> list[Descriptor]:
    """`descriptor` as a layout's index lists it: once for each name, or once without any."""
    others = {key: value for key, value in (descriptor.annotations or {}).items() if key != REF_NAME}
    if not names:
        return [descriptor._replace(annotations=others or None)]
    return [descriptor._replace(annotations={**others, REF_NAME: name}) for name in names]


def name_of(descriptor: Descriptor) -> str:
    """What a layout's index calls this; empty when it has no name."""
    return (descriptor.annotations or {}).get(REF_NAME, "")


class OciLayout:
    """An OCI layout, read only. A BlobSource."""

    def __init__(self, directory: str, *, files: Files | None = None) -> None:
        """Reads the layout's index. Raises LayoutError when `directory` (or `files`) is no layout."""
        self.files = files or FolderFiles(directory)
        self.where = directory
        version = self._document(LAYOUT_FILE).get("imageLayoutVersion")
        if version != LAYOUT_VERSION:
            raise LayoutError(
                f"{directory}: {LAYOUT_FILE} is not of version {LAYOUT_VERSION}", cause=f"it says {version!r:.50}"
            )
        what = f"{directory}: {INDEX_FILE}"
        try:
            self.index = Index.from_bytes(self._small(INDEX_FILE), what)
        except (InvalidDocumentError, InvalidValueError) as error:
            raise LayoutError(error.problem, cause=error.cause, hint=error.hint) from error

    @classmethod
    def in_archive(cls, path: str) -> OciLayout:
        """The layout that an oci-archive holds: a tar of one, compressed or not. `close` closes it."""
        files = TarFiles(path)
        try:
            return cls(path, files=files)
        except LayoutError:
            files.close()
            raise

    def close(self) -> None:
        if isinstance(self.files, TarFiles):
            self.files.close()

    def names(self) -> list[str]:
        """The names that the index gives to images."""
        return sorted({name_of(descriptor) for descriptor in self.index.manifests} - {""})

    def root(self, name: str = "") -> Descriptor:
        """The image called `name` (its ref.name annotation) or of that digest, or the only one. Raises LayoutError."""
        there = ", ".join(self.names()) or "none that has a name"
        if name:
            for descriptor in self.index.manifests:
                if name in (name_of(descriptor), descriptor.digest):
                    return descriptor
            raise LayoutError(f"{self.where} holds no image {name}", cause=f"it holds {there}")
        found = {descriptor.digest: descriptor for descriptor in self.index.manifests}
        if len(found) != 1:
            raise LayoutError(f"{self.where} holds {len(found)} images", cause=f"it holds {there}", hint="name one")
        return next(iter(found.values()))

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's file. Raises LayoutError when it is absent or is no plain file."""
        try:
            return self.files.open(blob_path(descriptor.digest))
        except LayoutError as error:
            raise LayoutError(
                f"{self.where} lacks the blob {descriptor.digest}", cause=error.cause or error.problem
            ) from error

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that `descriptor` names, verified by size and digest."""
        what = f"{self.where}: {descriptor.digest}"
        if descriptor.size > DEFAULT_LIMIT:
            raise LayoutError(f"{what} has {descriptor.size} bytes", cause=f"more than {DEFAULT_LIMIT}")
        with self.open(descriptor) as file:
            raw = file.read(descriptor.size + 1)
        if len(raw) != descriptor.size or Digest.of(raw) != descriptor.digest:
            raise LayoutError(f"{what} does not match its digest", hint="the layout is damaged: write it again")
        return parse_manifest(raw, what, media_type=descriptor.media_type)

    def _small(self, name: str) -> bytes:
        try:
            return read_small(self.files, name, DEFAULT_LIMIT)
        except LayoutError as error:
            raise LayoutError(
                f"{self.where} is no OCI layout", cause=f"{error.problem}: {error.cause}".strip(": "), hint=error.hint
            ) from error

    def _document(self, name: str) -> dict[str, Any]:
        try:
            return parse_document(self._small(name), f"{self.where}: {name}")
        except InvalidDocumentError as error:
            raise LayoutError(error.problem, cause=error.cause, hint=error.hint) from error
