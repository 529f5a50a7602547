"""Warnings that a registry sends with its responses (distribution spec, "Warnings"), for the log."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable

from dockless.errors import printable

# Of RFC 7234, section 5.5, the form that the specification permits.
_WARNING = re.compile(r'299 - "((?:[^"\\]|\\.)*)"')
# Bytes and number of warnings that a registry may send.
_MAX_BYTES = 4096
_MAX_WARNINGS = 20


class WarningLog:
    """Remembers warnings, so that each is reported once. Thread-safe."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def new(self, headers: Iterable[str]) -> list[str]:
        """Return the texts of the Warning headers of a response that were not returned before."""
        found = [re.sub(r"\\(.)", r"\1", text) for text in _WARNING.findall(", ".join(headers)[:_MAX_BYTES])]
        with self._lock:
            new = [text for text in dict.fromkeys(found) if text not in self._seen]
            new = new[: _MAX_WARNINGS - len(self._seen)]
            self._seen.update(new)
        return [printable(text, None) for text in new]
