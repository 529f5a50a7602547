"""Compression of tar blocks into a blob: one module for each format."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

from dockless.errors import LayerError
from dockless.layer.tar_writer import Block

# Name -> module, which has `make(level) -> Encoder`, `DEFAULT_LEVEL` and `LEVELS`, and is imported when it is used.
_MODULES = {"gzip": "gzip_multi", "gzip-single": "gzip_single", "zstd": "zstd", "none": "none"}
NAMES = tuple(_MODULES)


class Encoder(Protocol):
    """Compresses blocks. The output for a block depends only on the blocks so far, not on threads."""

    # All that the bytes depend on besides the tar stream: name, level, library, layout.
    fingerprint: str
    # `none`, `gzip` or `zstd`.
    format: str
    # Bytes of a block of the tar stream.
    block_size: int
    # Whether `worker` needs the bytes before a block, and `end` the CRC-32.
    needs_stream: bool

    def worker(self) -> Callable[[Block, bytes], bytes]:
        """Return a function for one thread that compresses a block, given the last 32 KiB before it."""
        ...

    def begin(self) -> bytes:
        """Return the bytes before the first block."""
        ...

    def end(self, crc: int, size: int) -> bytes:
        """Return the bytes after the last block; `crc` (CRC-32) and `size` in bytes are those of the whole stream."""
        ...


def find_encoder(text: str) -> Encoder:
    """Return the encoder with a name, or a name and a level as in `gzip:6`. Raises LayerError.

    A missing library is an error, never a reason for another encoder: other bytes would have another digest.
    """
    module, level = check_compression(text)
    encoder: Encoder = module.make(level)
    return encoder


def check_compression(text: str) -> tuple[Any, int]:
    """Return the module and the level of a name and a level. Raises LayerError for an unknown one.

    The library of the encoder may be missing.
    """
    name, colon, level_text = text.partition(":")
    if name not in _MODULES:
        raise LayerError(f"`compression`: {name!r:.50} is not a compression", hint=f"write one of {', '.join(NAMES)}")
    module = import_module(f"dockless.layer.compression.{_MODULES[name]}")
    levels = module.LEVELS
    level = module.DEFAULT_LEVEL
    if colon:
        # `gzip:06` is not another name of `gzip:6`.
        if level_text not in map(str, levels):
            allowed = f"{levels[0]} to {levels[-1]}" if levels else "no level"
            raise LayerError(f"`compression`: {name} has no level {level_text!r:.20}", hint=f"write {allowed}")
        level = int(level_text)
    return module, level


def missing(package: str, name: str, extra: str, error: ImportError) -> LayerError:
    """Return the error for an encoder whose library is not installed, or is made for another interpreter."""
    absent = isinstance(error, ModuleNotFoundError) and error.name == package.replace("-", "_")
    state = "is not installed" if absent else f"cannot be imported ({error})"
    hint = f"install dockless[{extra}]" if extra else f"install {package}"
    if not absent:
        hint += " for this version of CPython and this platform"
    return LayerError(
        f"`compression`: {name} needs the package {package}, which {state}",
        cause="the layer's digest depends on the package's output, so nothing can replace the package",
        hint=hint,
    )
