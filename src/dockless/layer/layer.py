"""A layer as a value: described first, built when needed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Union

from dockless.errors import LayerError
from dockless.layer.builder import BuiltLayer, build_layer
from dockless.layer.spec import InlineFile, LayerSpec, Source

PathLike = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Layer(NamedTuple):
    """A description of a layer. Files are read when the layer is built; the same files give the same bytes.

    Made by `from_files`, `from_spec` or `from_tarball`.
    """

    spec: LayerSpec | None = None
    tarball: str | None = None

    @classmethod
    def from_files(cls, files: Mapping[str, PathLike | InlineFile], **options: Any) -> Layer:
        """Return a layer of `files`: path in the image -> a file or directory on disk, or an InlineFile.

        The content of a directory is placed in this path. A file has this path; if the path ends with `/`, the file
        keeps its name and is placed in that directory. A symlink that is given here is replaced by its target, as by
        COPY in a Dockerfile; symlinks in a directory are kept. `options` are the other fields of LayerSpec: `ignores`,
        `ignore_files`, `modes`, `owner`, `symlinks`, `mtime`, `compression`... Their order does not matter. Raises
        LayerError for a value that is not a path, and TypeError for an unknown option; other errors are raised when
        the layer is built.
        """
        if not isinstance(files, Mapping):
            raise LayerError(f"{files!r:.100} is not a mapping", hint="write {path in the image: path on disk}")
        for path in files:
            if not isinstance(path, str):
                raise LayerError(f"{path!r:.200} is not a path in the image", hint="write the path as a string")
        inline = dict(options.pop("inline_files", {}))
        inline.update((path, file) for path, file in files.items() if isinstance(file, InlineFile))
        sources = tuple(
            Source(_path(file, path), path) for path, file in sorted(files.items()) if not isinstance(file, InlineFile)
        )
        return cls(LayerSpec(sources=sources, inline_files=inline, **_copied_options(options)))

    @classmethod
    def from_spec(cls, spec: LayerSpec) -> Layer:
        """Return the layer of a spec, which is checked when the layer is built."""
        return cls(spec)

    @classmethod
    def from_tarball(cls, path: PathLike) -> Layer:
        """Return a layer of a tar (POSIX or GNU), tar.gz or tar.zst file, which is used as it is.

        The file is read and checked when the layer is built. Raises LayerError for a value that is not a path.
        """
        return cls(tarball=_path(path, "the archive"))

    def build(self, directory: str, *, threads: int | None = None) -> BuiltLayer:
        """Build the layer into `directory`, as a file named by the hex digits of its digest. Raises LayerError."""
        if self.tarball is not None:
            from dockless.layer.prebuilt import add_tarball

            return add_tarball(self.tarball, directory)
        return build_layer(self.spec or LayerSpec(), directory, threads=threads)


def _path(file: Any, where: str) -> str:
    try:
        path = os.fsdecode(file)
        if "\0" not in path and os.fsencode(path):
            return path
    except (TypeError, UnicodeEncodeError):
        pass
    raise LayerError(f"{where}: {file!r:.100} is not a path on disk", hint="write a path, or InlineFile(...)")


def _copied_options(options: dict[str, Any]) -> dict[str, Any]:
    """Copy values that the caller may change later or that can be iterated only once."""
    return {key: _copied(value) for key, value in options.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else value
