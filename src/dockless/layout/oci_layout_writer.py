"""Writes OCI layouts, whole or an image more into one that is there."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Callable

from dockless._atomic import atomic_file, refused, temporary_directory
from dockless._concurrency import Crew, Stopped
from dockless.blobs import BlobSource
from dockless.errors import LayoutError
from dockless.layout.blob_copy import Moved, copy_blob, ignored
from dockless.layout.files import FolderFiles, read_small
from dockless.layout.oci_layout import INDEX_FILE, LAYOUT_FILE, OciLayout, blob_path, layout_file, name_of
from dockless.oci.canonical_json import DEFAULT_LIMIT, parse_document, write_document
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.manifest import make_index


def write_layout(
    directory: str,
    roots: Sequence[Descriptor],
    blobs: Iterable[Descriptor],
    source: BlobSource,
    *,
    moved: Moved = ignored,
    jobs: int = 1,
) -> None:
    """Writes `blobs`, read from `source`, and an index that lists `roots`, to the layout `directory`.

    A new layout gets its name when it is whole. In one that is there, blobs that it has are not written again, and the
    new roots take the place of those of the same name, as skopeo does it; the others stay. A blob there that is damaged
    is written anew. A failure leaves what was there before. `jobs` blobs are read at a time. Raises LayoutError, and
    what `source` raises.
    """
    if os.path.islink(directory):
        directory = os.path.realpath(directory)
    wanted = {blob.digest: blob for blob in blobs}
    try:
        if os.path.isdir(directory) and os.listdir(directory):
            _append(directory, roots, list(wanted.values()), source, moved, jobs)
        elif os.path.lexists(directory) and not os.path.isdir(directory):
            raise LayoutError(
                f"cannot write an OCI layout to {directory}", cause="it is a file", hint="choose another path"
            )
        elif not _created(directory, roots, list(wanted.values()), source, moved, jobs):
            _append(directory, roots, list(wanted.values()), source, moved, jobs)
    except OSError as error:
        raise LayoutError(f"cannot write an OCI layout to {directory}", cause=refused(error)) from error


def _created(
    directory: str,
    roots: Sequence[Descriptor],
    blobs: list[Descriptor],
    source: BlobSource,
    moved: Moved,
    jobs: int,
) -> bool:
    """Whether it is there now; False where somebody else was quicker."""
    parent = os.path.dirname(os.path.abspath(directory))
    os.makedirs(parent, exist_ok=True)
    with temporary_directory(parent) as staged:
        _write(os.path.join(staged, LAYOUT_FILE), layout_file())
        os.makedirs(os.path.join(staged, "blobs", "sha256"))

        def put(blob: Descriptor, moved: Moved) -> None:
            with open(os.path.join(staged, blob_path(blob.digest)), "wb") as file:
                copy_blob(source, blob, file, moved)

        _each(put, blobs, moved, jobs)
        _write(os.path.join(staged, INDEX_FILE), make_index(roots).raw)
        os.chmod(staged, 0o755)
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
    moved: Moved,
    jobs: int,
) -> None:
    try:
        OciLayout(directory)
    except LayoutError as error:
        raise LayoutError(
            f"cannot write an OCI layout to {directory}",
            cause=f"it holds something else ({error.problem})",
            hint="choose another path",
        ) from error
    files = FolderFiles(directory)
    with temporary_directory(directory) as staged:

        def put(blob: Descriptor, moved: Moved) -> None:
            if not _is_whole(files, blob):
                with open(os.path.join(staged, blob.digest.hex), "wb") as file:
                    copy_blob(source, blob, file, moved)

        _each(put, blobs, moved, jobs)
        with _locked(directory):
            # Not before all are there: a failure leaves nothing, and takes nothing away that others count on by now.
            for name in os.listdir(staged):
                _move(os.path.join(staged, name), os.path.join(directory, "blobs", "sha256", name))
            _relist(files, os.path.join(directory, INDEX_FILE), roots)


def _is_whole(files: FolderFiles, blob: Descriptor) -> bool:
    """Whether a blob is there, with all its bytes as they should be."""
    name = blob_path(blob.digest)
    if files.size(name) != blob.size:
        return False
    with files.open(name) as file:
        return Digest.of_file(file) == blob.digest


def _move(path: str, to: str) -> None:
    os.makedirs(os.path.dirname(to), exist_ok=True)
    os.replace(path, to)


def _each(put: Callable[[Descriptor, Moved], None], blobs: Sequence[Descriptor], moved: Moved, jobs: int) -> None:
    """All of them, `jobs` at a time; the first failure, or Ctrl-C, stops the others at their next bytes."""
    crew = Crew(jobs)

    def told(blob: Descriptor, size: int) -> None:
        if crew.stop.is_set():
            raise Stopped
        moved(blob, size)

    crew.run([partial(put, blob, told) for blob in blobs])


def _relist(files: FolderFiles, path: str, roots: Sequence[Descriptor]) -> None:
    raw = read_small(files, INDEX_FILE, DEFAULT_LIMIT)
    document = parse_document(raw, path)
    names = {name_of(root) for root in roots} - {""}
    digests = {root.digest for root in roots}
    kept = []
    for item in document["manifests"]:
        name = name_of(Descriptor.from_json(item, path))
        # Of one digest there may be several names; without a name it was only kept from being collected.
        if name in names or (not name and item["digest"] in digests):
            continue
        kept.append(item)
    unnamed = {item["digest"] for item in kept}
    added = [root.to_json() for root in roots if name_of(root) or root.digest not in unnamed]
    new = write_document({**document, "manifests": [*kept, *added]})
    if new != raw:
        with atomic_file(path) as file:
            file.write(new)


@contextmanager
def _locked(directory: str) -> Iterator[None]:
    """One at a time changes a layout's index."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
