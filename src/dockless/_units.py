"""Formats quantities for people."""

from __future__ import annotations


def format_count(count: int, noun: str) -> str:
    """Return `count` with `noun`, whose plural ends with `s`: `1 blob`, `2 blobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def format_size(size: float) -> str:
    """Return `size` bytes in decimal units, such as `12.3 MB`, as the web pages of registries do."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
