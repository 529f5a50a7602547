"""Writes oci-archives: a tar of an OCI layout, as skopeo, podman and `docker load` (from 25 on) read it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dockless._atomic import atomic_file
from dockless.blobs import BlobSource
from dockless.layout.blob_copy import Moved, copy_blob, ignored
from dockless.layout.oci_layout import INDEX_FILE, LAYOUT_FILE, blob_path, layout_file
from dockless.oci.descriptor import Descriptor
from dockless.oci.manifest import make_index
from dockless.tar.writer import END, file_header, folder_header, padding, put_file


def write_oci_archive(
    path: str,
    roots: Sequence[Descriptor],
    blobs: Iterable[Descriptor],
    source: BlobSource,
    *,
    moved: Moved = ignored,
) -> None:
    """Writes `blobs`, read from `source`, and an index that lists `roots`, to the tar `path`.

    The same image gives the same bytes. What `path` names is replaced when the tar is whole. Raises LayoutError.
    """
    with atomic_file(path) as tar:
        put_file(tar, LAYOUT_FILE, layout_file())
        put_file(tar, INDEX_FILE, make_index(roots).raw)
        tar.write(folder_header("blobs") + folder_header("blobs/sha256"))
        for blob in sorted({blob.digest: blob for blob in blobs}.values(), key=lambda blob: blob.digest):
            tar.write(file_header(blob_path(blob.digest), blob.size))
            copy_blob(source, blob, tar, moved)
            tar.write(padding(blob.size))
        tar.write(END)
