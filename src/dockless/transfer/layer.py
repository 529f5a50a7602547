"""`Layer`: what a layer is made of, as a value."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import Union

from dockless import media_types
from dockless.descriptor import Descriptor
from dockless.digest import Digest
from dockless.errors import LayerError, LayoutError
from dockless.layer.build import BuiltLayer, build_layer
from dockless.layer.encoders import find_encoder
from dockless.layer.pipeline import encode_blocks
from dockless.layer.spec import DEFAULT_COMPRESSION, InlineFile, LayerSpec, Source
from dockless.layout.blobs import staged_file
from dockless.layer.decode import decoded, wire_format
from dockless.layout.pieces import Pieces
from dockless.layout.tar_members import read_members
from dockless.transfer.compress import blocks_of

FileSource = Union[str, "os.PathLike[str]", InlineFile]


class Layer:
    """A layer that is not built yet. Made by `from_files` and `from_tarball`; immutable."""

    __slots__ = ("_compression", "_spec", "_tarball")

    def __init__(self, spec: LayerSpec, tarball: str = "", compression: str = "") -> None:
        """For the library's own use."""
        self._spec = spec
        self._tarball = tarball
        self._compression = compression

    @classmethod
    def from_files(
        cls,
        files: Mapping[str, FileSource],
        *,
        ignores: Iterable[str] = (),
        ignore_files: Iterable[str] = (),
        keep_ignore_files: bool = True,
        modes: Mapping[str, str] | None = None,
        owner: str = "0:0",
        owners: Mapping[str, str] | None = None,
        symlinks: Mapping[str, str] | None = None,
        directories: Mapping[str, str] | None = None,
        whiteouts: Iterable[str] = (),
        mtime: int = 0,
        compression: str = DEFAULT_COMPRESSION,
        follow_symlinks: bool = False,
        hardlinks: bool = False,
    ) -> Layer:
        """A layer of `files`: path in the image -> a file or folder on disk, or an InlineFile.

        What is in a folder goes under its path; a file gets the path, or goes into it when that ends with `/`. The
        other arguments are those of LayerSpec. The sources are read when it is built.
        """
        inline = {path: source for path, source in files.items() if isinstance(source, InlineFile)}
        sources = [
            Source(os.fspath(source), path) for path, source in files.items() if not isinstance(source, InlineFile)
        ]
        return cls(
            LayerSpec(
                sources=tuple(sources),
                ignores=_texts("ignores", ignores),
                ignore_files=_texts("ignore_files", ignore_files),
                keep_ignore_files=keep_ignore_files,
                modes=dict(modes or {}),
                owner=owner,
                owners=dict(owners or {}),
                symlinks=dict(symlinks or {}),
                inline_files=inline,
                directories=dict(directories or {}),
                whiteouts=_texts("whiteouts", whiteouts),
                mtime=mtime,
                compression=compression,
                follow_symlinks=follow_symlinks,
                hardlinks=hardlinks,
            )
        )

    @classmethod
    def from_tarball(cls, path: str | os.PathLike[str], *, compression: str = "") -> Layer:
        """A layer that is the tar at `path`, its entries as they are.

        One that is compressed with gzip or zstd stays so, to the byte; with `compression`, or when it is a plain tar,
        it is compressed by Dockless, as a layer of files is.
        """
        return cls(LayerSpec(), os.fspath(path), compression)

    def build(self, directory: str) -> BuiltLayer:
        """Writes the blob to the folder `directory`, as a file named by its digest's digits. Raises LayerError."""
        if not self._tarball:
            return build_layer(self._spec, directory)
        try:
            return _from_tarball(self._tarball, directory, self._compression)
        except LayoutError as error:
            raise LayerError(error.problem, cause=error.cause, hint=error.hint) from error
        except OSError as error:
            raise LayerError(f"cannot read {self._tarball}", cause=error.strerror or str(error)) from error


def _from_tarball(path: str, directory: str, compression: str) -> BuiltLayer:
    with open(path, "rb") as file:
        kind = wire_format(file.read(512))
    with open(path, "rb") as file:
        tar = Pieces(decoded(file, path), path)
        entries = sum(1 for _ in read_members(tar, path))
        tar.drain()
    digest = hashlib.sha256()
    staged = os.path.join(directory, f"{os.path.basename(path)}.new")
    encoder = find_encoder(compression or DEFAULT_COMPRESSION)
    kept = kind != "none" and not compression
    with staged_file(staged) as blob, open(path, "rb") as file:

        def sink(data: bytes) -> None:
            digest.update(data)
            blob.write(data)

        if kept:
            while data := file.read(1 << 20):
                sink(data)
        else:
            encode_blocks(blocks_of(Pieces(decoded(file, path), path), encoder.block_size), encoder, sink)
        size = blob.tell()
    found = Digest("sha256:" + digest.hexdigest())
    os.replace(staged, os.path.join(directory, found.hex))
    wire = kind if kept else encoder.wire_format
    return BuiltLayer(
        Descriptor(media_types.layer_media_type(wire), found, size),
        tar.digest,
        f"{kind}, as it was" if kept else encoder.identity,
        entries,
        tar.size,
    )


def _texts(field: str, values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise LayerError(f"`{field}` is text, not a list", hint=f"write [{values!r}]")
    return tuple(values)
