"""Builds a layer: entries -> tar blocks -> compressed blob, with both digests in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, BinaryIO, NamedTuple

from dockless._hashing import HashingWriter
from dockless.errors import LayerError, printable
from dockless.layer.compression import Encoder, find_encoder
from dockless.layer.compression.compressor import encode_blocks
from dockless.layer.entries import Entry, warnings_of
from dockless.layer.hardlinks import link_same_files
from dockless.layer.ignore import UnusedIgnores
from dockless.layer.spec import LayerSpec, check_kinds, check_mtime
from dockless.layer.tar_writer import tar_blocks
from dockless.layer.walk import collect_entries
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.tar.header import DIRECTORY

_LISTS = ("warnings", "unused_ignores", "unused_ignore_files")


class BuiltLayer(NamedTuple):
    """A layer that was built. `compression` identifies the encoder and its settings; sizes are in bytes.

    `unused_ignores` are the patterns in `ignores` that exclude no path, and include none with `!`, except for paths
    that other patterns decide about; `unused_ignore_files` are the names in `ignore_files` that no file has.
    """

    descriptor: Descriptor
    diff_id: Digest
    compression: str
    entries: int
    uncompressed_size: int
    warnings: tuple[str, ...] = ()
    unused_ignores: tuple[str, ...] = ()
    unused_ignore_files: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the layer as JSON values."""
        return {
            **self._asdict(),
            "descriptor": self.descriptor.to_json(),
            **{field: list(getattr(self, field)) for field in _LISTS},
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> BuiltLayer:
        """Return the layer that `to_json` describes. Raises InvalidDocumentError for an invalid descriptor."""
        return cls(
            **{
                **value,
                "descriptor": Descriptor.from_json(value["descriptor"], "the layer"),
                "diff_id": Digest(value["diff_id"]),
                **{field: tuple(value[field]) for field in _LISTS},
            }
        )


def build_layer(spec: LayerSpec, directory: str, *, threads: int | None = None) -> BuiltLayer:
    """Build the layer that `spec` describes into `directory`, as a file named by the hex digits of its digest.

    `threads` compress concurrently (default: one per CPU; 0: none); the bytes do not depend on them. The file gets its
    name when it is complete; a failure leaves nothing. Raises LayerError.
    """
    check_kinds(spec)
    mtime = check_mtime(spec.mtime)
    encoder = find_encoder(spec.compression)
    unused = UnusedIgnores(spec.ignores, spec.ignore_files)
    entries = collect_entries(spec, unused)
    if spec.hardlinks:
        entries = link_same_files(entries)
    built = _write(entries, mtime, encoder, directory, threads)
    return built._replace(
        warnings=(*_ignored_sources(spec, entries), *built.warnings),
        unused_ignores=tuple(unused.patterns),
        unused_ignore_files=tuple(unused.names),
    )


def _ignored_sources(spec: LayerSpec, entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return a warning if there are ignore patterns and no file of a source is in the layer."""
    if not spec.sources or not (spec.ignores or spec.ignore_files):
        return ()
    origins = {source.name for source in spec.sources}
    if any(entry.kind != DIRECTORY and entry.origin in origins for entry in entries):
        return ()
    names = ", ".join(sorted(origins))
    return (printable(f"no file of {names} is in the layer; check the ignore patterns", 1000),)


def _write(entries: list[Entry], mtime: int, encoder: Encoder, directory: str, threads: int | None) -> BuiltLayer:
    staged = staged_path(directory)
    try:
        with _create(staged) as file:
            blob = HashingWriter(file.write)
            encoded = encode_blocks(tar_blocks(entries, mtime, encoder.block_size), encoder, blob.write, threads)
        os.replace(staged, os.path.join(directory, blob.digest.hex))
    except OSError as error:
        raise LayerError(f"cannot write the layer to {directory}", cause=error.strerror or str(error)) from error
    finally:
        remove_staged(staged)
    return BuiltLayer(
        Descriptor(media_types.layer_media_type(encoder.format), blob.digest, blob.size),
        encoded.diff_id,
        encoder.fingerprint,
        len(entries),
        encoded.size,
        warnings_of(entries),
    )


def _create(path: str) -> BinaryIO:
    # Unbuffered: each write is about a megabyte.
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644), "wb", buffering=0)


def staged_path(directory: str) -> str:
    """Return the path of a new incomplete blob, unique among threads, processes and containers."""
    return os.path.join(directory, f".dockless-{os.urandom(8).hex()}")


def remove_staged(path: str) -> None:
    """Remove an incomplete blob, if it exists."""
    try:
        os.unlink(path)
    except OSError:
        return
