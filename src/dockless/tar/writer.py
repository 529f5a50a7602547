"""Tar archives of images: the same bytes every time, with no time and no owner."""

from __future__ import annotations

from typing import BinaryIO

from dockless.tar.header import DIRECTORY, FILE, tar_header


def file_header(name: str, size: int) -> bytes:
    """Return the header of a regular file of `size` bytes."""
    return tar_header(name.encode(), FILE, 0o644, 0, 0, size, 0)


def directory_header(name: str) -> bytes:
    """Return the header of a directory."""
    return tar_header(name.encode(), DIRECTORY, 0o755, 0, 0, 0, 0)


def padding(size: int) -> bytes:
    """Return the zeros after a file of `size` bytes, up to the end of its last block."""
    return b"\0" * (-size % 512)


def put_file(sink: BinaryIO, name: str, data: bytes) -> None:
    """Write a small file with its header and padding."""
    sink.write(file_header(name, len(data)) + data + padding(len(data)))


# Two zero blocks end an archive.
END = b"\0" * 1024
