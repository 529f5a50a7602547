"""From blocks of a tar stream to the bytes of a blob: one file a format."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol

from dockless.errors import LayerError
from dockless.layer.tar_writer import Block

# Name -> module; each has `make(level) -> Encoder`, `DEFAULT_LEVEL` and `LEVELS`, and is imported when it is chosen.
_MODULES = {"gzip": "gzip_multi", "gzip-single": "gzip_single", "zstd": "zstd", "none": "none"}
NAMES = tuple(_MODULES)


class Encoder(Protocol):
    """Makes a blob. What it gives for a block depends on nothing but the blocks so far: threads change no byte."""

    # What the bytes depend on beside the tar: name, level, library, layout. It belongs to the layer's fingerprint.
    fingerprint: str
    # `none`, `gzip` or `zstd`: what a reader must undo.
    format: str
    # Bytes of a block of the tar stream.
    block_size: int

    def worker(self) -> Callable[[Block, bytes], bytes]:
        """A function for one thread: encodes a block, given the last 32 KiB of the stream before it."""
        ...

    def begin(self) -> bytes:
        """What stands before the first block."""
        ...

    def end(self, crc: int, size: int) -> bytes:
        """What stands after the last block; `crc` (CRC-32) and `size` are of the whole stream."""
        ...


def find_encoder(text: str) -> Encoder:
    """The encoder that `text` names: a name, or a name and a level as in `gzip:6`. Raises LayerError.

    An encoder whose library is absent is an error, never another encoder: other bytes would be another digest.
    """
    name, colon, level_text = text.partition(":")
    if name not in _MODULES:
        raise LayerError(f"`compression`: there is no {name!r:.50}", hint=f"write one of {', '.join(NAMES)}")
    module = import_module(f"dockless.layer.compression.{_MODULES[name]}")
    levels = module.LEVELS
    level = module.DEFAULT_LEVEL
    if colon:
        if not (level_text.isascii() and level_text.isdigit() and int(level_text[:4]) in levels):
            allowed = f"{levels[0]} to {levels[-1]}" if levels else "no level"
            raise LayerError(f"`compression`: {name} has no level {level_text!r:.20}", hint=f"it takes {allowed}")
        level = int(level_text)
    encoder: Encoder = module.make(level)
    return encoder


def missing(package: str, name: str, extra: str, error: ImportError) -> LayerError:
    """The error for an encoder whose library is not installed, or is made for another interpreter."""
    absent = isinstance(error, ModuleNotFoundError) and error.name == package.replace("-", "_")
    state = "is not installed" if absent else f"cannot be imported ({error})"
    return LayerError(
        f"`compression`: {name} needs the package {package}, which {state}",
        cause="its bytes are part of the layer's digest, so nothing else takes its place",
        hint=f"install dockless[{extra}]" if extra else f"install {package}",
    )
