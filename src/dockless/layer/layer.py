"""A layer as a value: described now, built when it is wanted."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Union

from dockless.errors import LayerError
from dockless.layer.builder import BuiltLayer, build_layer
from dockless.layer.spec import InlineFile, LayerSpec, Source

PathLike = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


class Layer(NamedTuple):
    """A layer that can be built any number of times, with the same bytes each time; not yet read from disk.

    Made by `from_files`, `from_spec` or `from_tarball`.
    """

    spec: LayerSpec | None = None
    tarball: str | None = None

    @classmethod
    def from_files(cls, files: Mapping[str, PathLike | InlineFile], **options: Any) -> Layer:
        """A layer of `files`: path in the image -> a file or folder on disk, or an InlineFile.

        A folder's content goes under the path; a file becomes the path, or goes into it when it ends with `/`.
        `options` are the other fields of LayerSpec: `ignores`, `ignore_files`, `modes`, `owner`, `symlinks`, `mtime`,
        `compression`... Order does not matter. Raises LayerError for what is no path, TypeError for an option that does
        not exist; what is wrong otherwise is told when the layer is built.
        """
        if not isinstance(files, Mapping):
            raise LayerError(f"{files!r:.100} is no mapping", hint="write {path in the image: path here}")
        inline = dict(options.pop("inline_files", {}))
        inline.update((path, file) for path, file in files.items() if isinstance(file, InlineFile))
        sources = tuple(
            Source(_path(file, path), path) for path, file in sorted(files.items()) if not isinstance(file, InlineFile)
        )
        return cls(LayerSpec(sources=sources, inline_files=inline, **_own(options)))

    @classmethod
    def from_spec(cls, spec: LayerSpec) -> Layer:
        """A layer of a description, which is checked when the layer is built."""
        return cls(spec)

    @classmethod
    def from_tarball(cls, path: PathLike) -> Layer:
        """A layer that is a tar (POSIX or GNU), tar.gz or tar.zst already: it is taken as it is.

        It is read, and checked, when the layer is built.
        """
        return cls(tarball=os.fsdecode(path))

    def build(self, directory: str, *, threads: int | None = None) -> BuiltLayer:
        """Builds the layer into `directory`, as a file named by its digest's digits. Raises LayerError."""
        if self.tarball is not None:
            from dockless.layer.prebuilt import add_tarball

            return add_tarball(self.tarball, directory)
        return build_layer(self.spec or LayerSpec(), directory, threads=threads)


def _path(file: Any, where: str) -> str:
    try:
        return os.fsdecode(file)
    except TypeError:
        raise LayerError(f"{where}: {file!r:.100} is no path here", hint="write a path, or InlineFile(...)") from None


def _own(options: dict[str, Any]) -> dict[str, Any]:
    """Values that are ours: what the caller changes afterwards, or what can be read once, is none."""
    return {key: _owned(value) for key, value in options.items()}


def _owned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, (str, bytes)) else value
