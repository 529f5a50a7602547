"""Tars of images, the same bytes every time: our own headers, no time, no owner."""

from __future__ import annotations

from typing import BinaryIO

from dockless.tar.header import DIRECTORY, FILE, tar_header


def file_header(name: str, size: int) -> bytes:
    """The header of a plain file of `size` bytes."""
    return tar_header(name.encode(), FILE, 0o644, 0, 0, size, 0)


def folder_header(name: str) -> bytes:
    return tar_header(name.encode(), DIRECTORY, 0o755, 0, 0, 0, 0)


def padding(size: int) -> bytes:
    """What fills up the last block of a file of `size` bytes."""
    return b"\0" * (-size % 512)


def put_file(sink: BinaryIO, name: str, data: bytes) -> None:
    """Writes a small file."""
    sink.write(file_header(name, len(data)) + data + padding(len(data)))


END = b"\0" * 1024
