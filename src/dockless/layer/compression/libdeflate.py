"""libdeflate from the PyPI package `deflate`.

libdeflate wrote the same bytes on every x86-64 level and on aarch64, in versions 0.5.0 to 0.9.0 of the package. The
functions of the package hold the interpreter lock up to 0.8.1 (the last version for CPython 3.9), which makes threads
useless. So the C functions that its module exports are called through ctypes; where they are not exported, the
functions of the package are used, which give the same bytes.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from dockless.errors import LayerError
from dockless.layer.compression import missing

LEVELS = range(1, 13)
GZIP_HEADER_SIZE = 10
# Level -> CRC-32 of the compressed sample. A library is used only if it gives these values.
_SAMPLE = b"".join(b"%d:%x;" % (n, n * n * 2654435761 & 0xFFFFFFFF) for n in range(120))
KNOWN_ANSWERS = {
    1: 0x74D36518,
    2: 0xEACD50FE,
    3: 0xEACD50FE,
    4: 0xEACD50FE,
    5: 0xEACD50FE,
    6: 0xEACD50FE,
    7: 0xEACD50FE,
    8: 0xEACD50FE,
    9: 0xEACD50FE,
    10: 0x13867ECD,
    11: 0x13867ECD,
    12: 0x3568F66B,
}


class Compressor:
    """A compressor for one thread, with a buffer that is reused."""

    def __init__(self, level: int) -> None:
        self._library = _library()
        self._level = level
        if self._library is not None:
            self._handle = self._library.libdeflate_alloc_compressor(level)
            if not self._handle:
                raise MemoryError
            self._capacity = 0
            self._out: Any = None

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._library.libdeflate_free_compressor(self._handle)

    def gzip(self, data: memoryview) -> memoryview:
        """Return `data` as a gzip member with libdeflate's header. The result is valid until the next call."""
        n = len(data)
        if self._library is None:
            return memoryview(_module().gzip_compress(data, self._level))
        if n > self._capacity:
            self._capacity = n
            bound = self._library.libdeflate_gzip_compress_bound(self._handle, n)
            # Only written pages of the mapping take memory; the bound is for incompressible data.
            self._out = (ctypes.c_char * bound).from_buffer(mmap.mmap(-1, bound))
        source = (ctypes.c_char * n).from_buffer(data) if not data.readonly else bytes(data)
        written = self._library.libdeflate_gzip_compress(self._handle, source, n, self._out, len(self._out))
        if not written:
            raise LayerError("libdeflate returned no output", hint="report this with the version of `deflate`")
        return memoryview(self._out)[:written].cast("B")


def check_known_answer(level: int) -> None:
    """Raise LayerError if the library does not produce the expected bytes."""
    expected = KNOWN_ANSWERS[level]
    actual = check_value(level)
    if actual != expected:
        raise LayerError(
            f"the installed `deflate` does not produce the expected bytes at level {level}",
            cause=f"the check value is {actual:08x}, not {expected:08x}",
            hint="install the version that the requirements pin",
        )


def check_value(level: int) -> int:
    """Return the CRC-32 of the compressed sample."""
    import zlib

    return zlib.crc32(Compressor(level).gzip(memoryview(bytearray(_SAMPLE)))[GZIP_HEADER_SIZE:])


def gzip_trailer(crc: int, size: int) -> bytes:
    """Return the trailer of a gzip member (RFC 1952, section 2.3.1)."""
    return struct.pack("<LL", crc & 0xFFFFFFFF, size & 0xFFFFFFFF)


def _module() -> Any:
    try:
        import deflate
    except ImportError as error:
        raise missing("deflate", "gzip", "", error) from None
    return deflate


@lru_cache(maxsize=1)
def _library() -> Any:
    """Return the library with its C functions, or None if the module does not export them."""
    from importlib.machinery import EXTENSION_SUFFIXES
    from os import listdir, path

    directory = path.dirname(_module().__file__)
    names = sorted(n for n in listdir(directory) if n.startswith("_deflate") and n.endswith(tuple(EXTENSION_SUFFIXES)))
    if not names:
        return None
    try:
        library = ctypes.CDLL(path.join(directory, names[0]))
        size, pointer = ctypes.c_size_t, ctypes.c_void_p
        _declare(library.libdeflate_alloc_compressor, pointer, ctypes.c_int)
        _declare(library.libdeflate_free_compressor, None, pointer)
        _declare(library.libdeflate_gzip_compress_bound, size, pointer, size)
        _declare(library.libdeflate_gzip_compress, size, pointer, pointer, size, pointer, size)
        _declare(library.libdeflate_crc32, ctypes.c_uint32, ctypes.c_uint32, pointer, size)
    except (OSError, AttributeError):
        return None
    return library


def _declare(function: Any, result: Any, *arguments: Any) -> None:
    function.restype, function.argtypes = result, arguments


def crc32() -> Callable[[memoryview, int], int]:
    """Return a function for the CRC-32 of writable data after a value: libdeflate's if available, as it is faster."""
    library = _library()
    if library is None:
        import zlib

        return zlib.crc32

    def checksum(data: memoryview, value: int) -> int:
        n = len(data)
        if not n:
            return value
        actual: int = library.libdeflate_crc32(value, (ctypes.c_char * n).from_buffer(data), n)
        return actual

    return checksum
