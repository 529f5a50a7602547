"""Writes OCI layouts: a new one, or more images in an existing one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Callable

from dockless._atomic import (
    create_file,
    lock,
    make_directories,
    open_directory,
    open_to_lock,
    reason_of,
    resolve_output,
    temporary_directory,
)
from dockless._concurrency import CancelledError, WorkerPool
from dockless.blobs import BlobSource
from dockless.errors import LayoutError
from dockless.layout.blob_copy import OnBytes, copy_blob, ignore_bytes
from dockless.layout.files import DirectoryFiles, read_small
from dockless.layout.oci_layout import INDEX_FILE, LAYOUT_FILE, OciLayout, blob_path, layout_file, name_of
from dockless.oci.canonical_json import DEFAULT_LIMIT, write_document
from dockless.oci.descriptor import Descriptor, UnsupportedEntry
from dockless.oci.digest import Digest
from dockless.oci.manifest import Index, make_index

_BLOBS = "blobs/sha256"
# How often an index may be changed by programs that do not take the lock while it is written.
_MAX_CHANGES = 100


def write_layout(
    directory: str,
    roots: Sequence[Descriptor],
    blobs: Iterable[Descriptor],
    source: BlobSource,
    *,
    on_bytes: OnBytes = ignore_bytes,
    jobs: int = 1,
) -> None:
    """Write `blobs`, read from `source`, and an index that lists `roots`, to the layout `directory`.

    A new layout gets its name when it is complete. In an existing layout, valid blobs are not written again, damaged
    ones are, and a new root replaces the one with the same name, as in skopeo; other roots stay. A failure leaves the
    layout as it was. `jobs` blobs are read at a time. Raises LayoutError, and what `source` raises.
    """
    unique = {blob.digest: blob for blob in blobs}
    try:
        directory = resolve_output(directory)
        if os.path.isdir(directory) and os.listdir(directory):
            _append(directory, roots, list(unique.values()), source, on_bytes, jobs)
        elif os.path.lexists(directory) and not os.path.isdir(directory):
            raise LayoutError(
                f"cannot write an OCI layout to {directory}", cause="it is a file", hint="choose another path"
            )
        elif not _create(directory, roots, list(unique.values()), source, on_bytes, jobs):
            _append(directory, roots, list(unique.values()), source, on_bytes, jobs)
    except OSError as error:
        raise LayoutError(f"cannot write an OCI layout to {directory}", cause=reason_of(error)) from error


def _create(
    directory: str,
    roots: Sequence[Descriptor],
    blobs: list[Descriptor],
    source: BlobSource,
    on_bytes: OnBytes,
    jobs: int,
) -> bool:
    """Create the layout; return False if another process created it first."""
    parent = os.path.dirname(os.path.abspath(directory))
    make_directories(parent)
    with temporary_directory(parent) as (staged, descriptor):
        _write(LAYOUT_FILE, descriptor, layout_file())
        with _open_blobs(descriptor) as blob_directory:
            # The mode that a new directory has here, by the umask.
            mode = stat.S_IMODE(os.fstat(blob_directory).st_mode)

            def put(blob: Descriptor, on_bytes: OnBytes) -> None:
                with create_file(blob.digest.hex, blob_directory) as file:
                    copy_blob(source, blob, file, on_bytes)

            _put_all(put, blobs, on_bytes, jobs)
        _write(INDEX_FILE, descriptor, make_index(roots).raw)
        os.fchmod(descriptor, mode)
        try:
            os.replace(staged, directory)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            return False
    return True


def _append(
    directory: str,
    roots: Sequence[Descriptor],
    blobs: list[Descriptor],
    source: BlobSource,
    on_bytes: OnBytes,
    jobs: int,
) -> None:
    for name in (LAYOUT_FILE, INDEX_FILE, "blobs", _BLOBS):
        # Whoever made the layout may not be able to write where the link leads to. Reading does no harm: blobs are
        # verified.
        if os.path.islink(os.path.join(directory, name)):
            raise LayoutError(
                f"cannot write an OCI layout to {directory}", cause=f"{name} is a symlink", hint="choose another path"
            )
    try:
        OciLayout(directory)
    except LayoutError as error:
        raise LayoutError(
            f"cannot write an OCI layout to {directory}",
            cause=f"the directory has other content ({error.problem})",
            hint="choose another path",
        ) from error
    files = DirectoryFiles(directory)
    with temporary_directory(directory) as (_, staged):

        def put(blob: Descriptor, on_bytes: OnBytes) -> None:
            if not _has_blob(files, blob):
                with create_file(blob.digest.hex, staged) as file:
                    copy_blob(source, blob, file, on_bytes)

        _put_all(put, blobs, on_bytes, jobs)
        with _locked(directory) as layout:
            old = read_small(files, INDEX_FILE, DEFAULT_LIMIT)
            # An index that would be invalid is an error before blobs are moved.
            new = _updated_index(old, os.path.join(directory, INDEX_FILE), roots)
            # Only when all blobs are complete, so that a failure leaves nothing. Blobs in the layout are never removed:
            # a concurrent writer may rely on them.
            with _open_blobs(layout) as blob_directory:
                for name in os.listdir(staged):
                    os.replace(name, name, src_dir_fd=staged, dst_dir_fd=blob_directory)
            for _ in range(_MAX_CHANGES):
                if new == old:
                    return
                _write(INDEX_FILE, staged, new)
                # Other tools, and machines with which no lock is shared, may have changed the index meanwhile.
                present = read_small(files, INDEX_FILE, DEFAULT_LIMIT)
                if present == old:
                    os.replace(INDEX_FILE, INDEX_FILE, src_dir_fd=staged, dst_dir_fd=layout)
                    return
                os.unlink(INDEX_FILE, dir_fd=staged)
                old, new = present, _updated_index(present, os.path.join(directory, INDEX_FILE), roots)
    raise LayoutError(
        f"cannot write an OCI layout to {directory}",
        cause=f"other programs changed {INDEX_FILE} {_MAX_CHANGES} times meanwhile",
        hint="end the other programs, or choose another path",
    )


def _has_blob(files: DirectoryFiles, blob: Descriptor) -> bool:
    """Return whether the layout has the blob, undamaged."""
    name = blob_path(blob.digest)
    if files.size(name) != blob.size:
        return False
    with files.open(name) as file:
        return Digest.of_file(file) == blob.digest


@contextmanager
def _open_blobs(layout: int) -> Iterator[int]:
    """Yield a descriptor of the directory of blobs in a layout. It is created if necessary. No symlink is followed."""
    descriptor = os.dup(layout)
    try:
        for name in _BLOBS.split("/"):
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=descriptor)
            below = open_directory(name, descriptor)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _put_all(
    put: Callable[[Descriptor, OnBytes], None], blobs: Sequence[Descriptor], on_bytes: OnBytes, jobs: int
) -> None:
    """Put all blobs, `jobs` at a time. The first error, or Ctrl-C, ends the others at their next bytes."""
    pool = WorkerPool(jobs)

    def report(blob: Descriptor, size: int) -> None:
        if pool.stop.is_set():
            raise CancelledError
        on_bytes(blob, size)

    pool.run([partial(put, blob, report) for blob in blobs])


def _updated_index(raw: bytes, path: str, roots: Sequence[Descriptor]) -> bytes:
    """Return the index `raw` with `roots`. Raises InvalidDocumentError if the old or the new index is invalid."""
    document = Index.from_bytes(raw, path).json
    # Entries that Dockless cannot read stay as they are: the images of other tools.
    old = document.get("manifests") or []
    names = {name_of(root) for root in roots} - {""}
    digests = {root.digest for root in roots}
    kept = []
    for item in old:
        if item is not None:
            name = name_of(UnsupportedEntry.from_json(item, path) or Descriptor.from_json(item, path))
            # One digest may have several names. An entry without a name only protects its blobs from garbage
            # collection.
            if name in names or (not name and item["digest"] in digests):
                continue
        kept.append(item)
    unnamed = {item["digest"] for item in kept if item is not None}
    added = [root.to_json() for root in roots if name_of(root) or root.digest not in unnamed]
    new = write_document({**document, "manifests": [*kept, *added]})
    # With too many entries or bytes, the layout could not be read any more.
    Index.from_bytes(new, f"{path} with the new image")
    return new


@contextmanager
def _locked(directory: str) -> Iterator[int]:
    """Hold the locks for changes of a layout's index. Yield a descriptor of the layout.

    The lock of the directory excludes the processes of this machine. In network directories, it excludes no other
    machine, but the lock of a file does: that of `oci-layout`, which each layout has and no program replaces.
    """
    layout = open_directory(directory)
    marker = -1
    try:
        lock(layout, directory)
        # Another user may own the file, and a network may have no locks: the lock of the directory remains.
        with suppress(OSError):
            marker = open_to_lock(LAYOUT_FILE, layout)
            if stat.S_ISREG(os.fstat(marker).st_mode):
                lock(marker, os.path.join(directory, LAYOUT_FILE))
        yield layout
    finally:
        os.close(layout)
        if marker >= 0:
            os.close(marker)


def _write(name: str, directory: int, data: bytes) -> None:
    with create_file(name, directory) as file:
        file.write(data)
