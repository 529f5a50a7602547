"""Modes and owners of entries: the default modes and the rules of a layer spec."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from typing import Generic, TypeVar

from dockless.errors import LayerError
from dockless.layer.ignore import check_pattern_count, compile_patterns
from dockless.layer.spec import encoded

# Stands for the default mode of a file whose executable bit is read when the file is opened.
BY_EXECUTABLE_BIT = -1
DIRECTORY_MODE = 0o755
SYMLINK_MODE = 0o777

T = TypeVar("T")


def file_mode(executable: bool) -> int:
    """Return the default mode of a file."""
    return 0o755 if executable else 0o644


def resolved_mode(mode: int, st_mode: int) -> int:
    """Return `mode`, or the default mode of a file with the status `st_mode` if `mode` is BY_EXECUTABLE_BIT."""
    return file_mode(bool(st_mode & stat.S_IXUSR)) if mode == BY_EXECUTABLE_BIT else mode


class PermissionRules(Generic[T]):
    """Pattern of paths in the image, or of directories above them -> value. Each must match something.

    The longest matching pattern applies, not the last one: JSON does not preserve the order of a dictionary, and two
    BUILD files that differ only in this order must have the same result.
    """

    def __init__(self, values: Mapping[str, T], field: str) -> None:
        self._field = field
        check_pattern_count(len(values), f"`{field}`")
        self._rules = [
            (pattern, compile_patterns([encoded(pattern)], f"`{field}`"), values[pattern])
            for pattern in sorted(values, key=lambda pattern: (len(pattern), pattern))
        ]
        self._unused = dict.fromkeys(values)
        # Which of them are for a directory or for one above it: most files have neighbors.
        self._of_directories: dict[bytes, frozenset[int]] = {b"": frozenset()}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def find(self, name: bytes, default: T) -> T:
        """Return the value of the last rule that matches the path `name`, or `default`."""
        inherited = self._inherited(name.rpartition(b"/")[0])
        found = default
        for n, (pattern, patterns, value) in enumerate(self._rules):
            if n in inherited or patterns.match(name, False):
                self._unused.pop(pattern, None)
                found = value
        return found

    def _inherited(self, directory: bytes) -> frozenset[int]:
        missing = []
        while directory not in self._of_directories:
            missing.append(directory)
            directory = directory.rpartition(b"/")[0]
        rules = self._of_directories[directory]
        for directory in reversed(missing):
            own = [n for n, (_, patterns, _) in enumerate(self._rules) if patterns.match(directory, True)]
            # Most directories share the set of the directory above.
            rules = rules.union(own) if own else rules
            self._of_directories[directory] = rules
        return rules

    def check_used(self) -> None:
        """Raise LayerError if a pattern matched nothing: the mistake would not be noticed otherwise."""
        for pattern in self._unused:
            raise LayerError(
                f"`{self._field}`: {pattern!r} matches nothing in the layer",
                hint="a pattern is matched with the path in the image, such as /app/bin/*",
            )
