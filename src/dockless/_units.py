"""Formats quantities for people."""

from __future__ import annotations

import re

from dockless.errors import InvalidValueError

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(B|kB|MB|GB|TB)\Z")
_FACTORS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


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


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `12.3 MB`, in the units of `format_size`. Raises InvalidValueError."""
    found = _SIZE.match(text)
    if not found:
        raise InvalidValueError(
            f"{text!r:.100} is not a size", hint="write a number with B, kB, MB, GB or TB, such as '12.5 MB'"
        )
    return int(float(found[1]) * _FACTORS[found[2]])
