"""Writes oci-archives: tar archives of an OCI layout, which skopeo, podman and `docker load` (25 and later) read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dockless._atomic import atomic_file
from dockless.blobs import BlobSource
from dockless.layout.blob_copy import OnBytes, copy_blob, ignore_bytes
from dockless.layout.oci_layout import INDEX_FILE, LAYOUT_FILE, blob_path, layout_file
from dockless.oci.descriptor import Descriptor
from dockless.oci.manifest import make_index
from dockless.tar.writer import END, directory_header, file_header, padding, put_file


def write_oci_archive(
    path: str,
    roots: Sequence[Descriptor],
    blobs: Iterable[Descriptor],
    source: BlobSource,
    *,
    on_bytes: OnBytes = ignore_bytes,
) -> None:
    """Write `blobs`, read from `source`, and an index that lists `roots`, to the archive `path`.

    The same image gives the same bytes. An existing file is replaced when the archive is complete. Raises LayoutError.
    """
    with atomic_file(path) as tar:
        put_file(tar, LAYOUT_FILE, layout_file())
        put_file(tar, INDEX_FILE, make_index(roots).raw)
        tar.write(directory_header("blobs") + directory_header("blobs/sha256"))
        for blob in sorted({blob.digest: blob for blob in blobs}.values(), key=lambda blob: blob.digest):
            tar.write(file_header(blob_path(blob.digest), blob.size))
            copy_blob(source, blob, tar, on_bytes)
            tar.write(padding(blob.size))
        tar.write(END)
