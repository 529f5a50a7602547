"""OCI image layouts: a folder of blobs and an index of them (OCI image spec, image-layout.md)."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from dockless.descriptor import Descriptor
from dockless.digest import Digest
from dockless.document import parse_document, write_document
from dockless.errors import InvalidDocument, LayoutError
from dockless.manifest import Index, Manifest, make_index, parse_manifest

REF_NAME = "org.opencontainers.image.ref.name"
LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
_LAYOUT = {"imageLayoutVersion": "1.0.0"}


def blob_path(digest: Digest) -> str:
    """Where a layout keeps a blob, relative to its folder."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def layout_files(roots: Iterable[Descriptor], documents: Mapping[Digest, bytes]) -> dict[str, bytes]:
    """The small files of a layout whose index lists `roots`: path in the folder -> content; no layers."""
    return {
        LAYOUT_FILE: write_document(_LAYOUT),
        INDEX_FILE: make_index(tuple(roots)).raw,
        **{blob_path(digest): data for digest, data in documents.items()},
    }


def write_layout(
    directory: str, roots: Iterable[Descriptor], documents: Mapping[Digest, bytes], layers: Mapping[Digest, str]
) -> None:
    """Writes a layout to `directory`, which must not exist or be an empty folder. `layers` are files by digest.

    It gets its name when it is whole; a failure leaves nothing. Raises LayoutError.
    """
    if os.path.exists(directory) and (not os.path.isdir(directory) or os.listdir(directory)):
        raise LayoutError(f"cannot write an OCI layout to {directory}", cause="it exists", hint="choose another path")
    parent = os.path.dirname(os.path.abspath(directory))
    staged = ""
    try:
        os.makedirs(parent, exist_ok=True)
        staged = tempfile.mkdtemp(prefix=".dockless-", dir=parent)
        for path, data in layout_files(roots, documents).items():
            os.makedirs(os.path.dirname(os.path.join(staged, path)), exist_ok=True)
            with open(os.path.join(staged, path), "wb") as file:
                file.write(data)
        for digest, source in layers.items():
            _place(source, os.path.join(staged, blob_path(digest)))
        os.chmod(staged, 0o755)
        os.replace(staged, directory)
    except OSError as error:
        raise LayoutError(f"cannot write an OCI layout to {directory}", cause=error.strerror or str(error)) from error
    finally:
        if staged:
            shutil.rmtree(staged, ignore_errors=True)


class OciLayout:
    """An OCI layout on disk, read only. A ContentSource."""

    def __init__(self, directory: str) -> None:
        """Reads the layout's index. Raises LayoutError when `directory` is no layout."""
        self.directory = directory
        layout = self._document(LAYOUT_FILE)
        if layout.get("imageLayoutVersion") != _LAYOUT["imageLayoutVersion"]:
            raise LayoutError(
                f"{os.path.join(directory, LAYOUT_FILE)} is not of version 1.0.0",
                cause=f"it says {layout.get('imageLayoutVersion')!r:.50}",
            )
        try:
            self.index = Index.from_bytes(self._file(INDEX_FILE), os.path.join(directory, INDEX_FILE))
        except InvalidDocument as error:
            raise LayoutError(error.problem, cause=error.cause, hint=error.hint) from error

    def root(self, name: str = "") -> Descriptor:
        """The image called `name` (its ref.name annotation), or the only one. Raises LayoutError."""
        named = {(d.annotations or {}).get(REF_NAME, ""): d for d in self.index.manifests}
        if name:
            if name not in named:
                there = ", ".join(sorted(n for n in named if n)) or "none that has a name"
                raise LayoutError(f"{self.directory} holds no image {name}", cause=f"it holds {there}")
            return named[name]
        if len(self.index.manifests) != 1:
            raise LayoutError(
                f"{self.directory} holds {len(self.index.manifests)} images",
                hint=f"name one of: {', '.join(sorted(n for n in named if n)) or 'none has a name'}",
            )
        return self.index.manifests[0]

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's file. Raises LayoutError when it is absent or is no plain file."""
        path = os.path.join(self.directory, blob_path(descriptor.digest))
        try:
            # A link could name any file of the machine, and its content would be sent on.
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
        except OSError as error:
            raise LayoutError(
                f"cannot read the blob {descriptor.digest} of {self.directory}", cause=error.strerror or str(error)
            ) from error

    def manifest(self, descriptor: Descriptor) -> Manifest | Index:
        """The manifest or index that `descriptor` names, verified by size and digest."""
        what = f"{self.directory}: {descriptor.digest}"
        with self.open(descriptor) as file:
            raw = file.read(descriptor.size + 1)
        if len(raw) != descriptor.size or Digest.of(raw) != descriptor.digest:
            raise LayoutError(f"{what} does not match its digest", hint="the layout is damaged: write it anew")
        return parse_manifest(raw, what, media_type=descriptor.media_type)

    def _file(self, name: str) -> bytes:
        path = os.path.join(self.directory, name)
        try:
            with open(path, "rb") as file:
                return file.read()
        except OSError as error:
            raise LayoutError(
                f"{self.directory} is no OCI layout", cause=f"{path}: {error.strerror or error}"
            ) from error

    def _document(self, name: str) -> dict[str, object]:
        try:
            return parse_document(self._file(name), os.path.join(self.directory, name))
        except InvalidDocument as error:
            raise LayoutError(error.problem, cause=error.cause, hint=error.hint) from error


def _place(source: str, destination: str) -> None:
    """A hard link where the file system allows it, else a copy: a layer may be gigabytes."""
    os.makedirs(os.path.dirname(destination), exist_ok=True)
    try:
        os.link(source, destination)
    except OSError:
        shutil.copyfile(source, destination)
