"""gitignore patterns (gitignore(5)) and the ignore rules of a layer source."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from dockless._files import open_regular
from dockless.errors import LayerError
from dockless.layer.spec import encoded

if TYPE_CHECKING:
    from dockless.layer.patterns import Patterns

# Bytes of one ignore file, and of all of a source. The compilation of patterns takes up to 30 microseconds a byte.
_MAX_IGNORE_FILE = 1024 * 1024
_MAX_IGNORE_FILES = 4 * 1024 * 1024
# Patterns that a path is compared with, each in up to 5 microseconds.
_MAX_PATTERNS = 20_000


def check_pattern_count(count: int, where: str) -> None:
    """Raise LayerError, naming `where`, if a path would be compared with too many patterns."""
    if count > _MAX_PATTERNS:
        raise LayerError(
            f"{where}: more than {_MAX_PATTERNS} patterns apply",
            hint="write fewer patterns, such as patterns for directories",
        )


def compile_patterns(lines: Iterable[bytes], where: str) -> Patterns:
    """Return the patterns. Raises LayerError, naming `where`, for a pattern that cannot be read."""
    # A layer without patterns does without pathspec.
    from dockless.layer.patterns import Patterns

    return Patterns(lines, where)


class Ignores:
    """The ignore rules that hold in one directory of a source: its own, then those of the directories above."""

    def __init__(self, names: Iterable[str], patterns: Iterable[str], origin: str) -> None:
        self._names = tuple(encoded(name) for name in names)
        patterns = tuple(patterns)
        self._specs: tuple[tuple[int, Patterns], ...] = ()
        if patterns:
            self._specs = ((0, compile_patterns(map(encoded, patterns), f"`ignores` of {origin}")),)
        self._files = _IgnoreFiles(origin)

    def unused(self) -> tuple[set[bytes], set[bytes]]:
        """Return the patterns that have decided about no path so far, and the names of which no file was found.

        The patterns are those of the source itself, not those of its ignore files.
        """
        patterns = {line for _, patterns in self._specs for line in patterns.unused()}
        return patterns, {name for name in self._names if name not in self._files.found}

    def __bool__(self) -> bool:
        return bool(self._names or self._specs)

    def is_ignore_file(self, name: bytes) -> bool:
        """Return whether a file of this name holds ignore patterns."""
        return name in self._names

    def within(self, directory: bytes, relative: bytes, files: Collection[bytes]) -> Ignores:
        """Return the rules in `directory` on disk, which holds the regular files `files`.

        `relative` is the path of the directory in the source.

        Raises OSError for an ignore file that cannot be read, and LayerError for an invalid one.
        """
        specs = self._specs
        for name in self._names:
            if name in files:
                path = os.path.join(directory, name)
                self._files.found.add(name)
                depth = len(relative) + 1 if relative else 0
                specs = ((depth, compile_patterns(self._files.lines(path), os.fsdecode(path))), *specs)
                check_pattern_count(sum(len(patterns) for _, patterns in specs), os.fsdecode(path))
        if specs == self._specs:
            return self
        inner = Ignores.__new__(Ignores)
        inner._names, inner._specs, inner._files = self._names, specs, self._files
        return inner

    def ignored(self, relative: bytes, is_directory: bool) -> bool:
        """Return whether an entry is ignored. The caller does not read an ignored directory.

        Therefore, as in git, a pattern with `!` cannot include a file of an ignored directory.
        """
        for depth, patterns in self._specs:
            ignored = patterns.match(relative[depth:], is_directory)
            if ignored is not None:
                return ignored
        return False


class UnusedIgnores:
    """The patterns, and names of ignore files, that have no effect in any source of a layer."""

    def __init__(self, patterns: Iterable[str], names: Iterable[str]) -> None:
        self.patterns = list(dict.fromkeys(patterns))
        self.names = list(dict.fromkeys(names))

    def remove_used(self, ignores: Ignores) -> None:
        """Remove what had an effect in a source, whose rules are `ignores`."""
        patterns, names = ignores.unused()
        self.patterns = [pattern for pattern in self.patterns if encoded(pattern) in patterns]
        self.names = [name for name in self.names if encoded(name) in names]


class _IgnoreFiles:
    """Reads the ignore files of one source."""

    def __init__(self, origin: str) -> None:
        self.found: set[bytes] = set()
        self._origin = origin
        self._total = 0

    def lines(self, path: bytes) -> list[bytes]:
        # Like git, Dockless does not read an ignore file through a symlink.
        with open_regular(path, follow_symlinks=False) as file:
            data = file.read(_MAX_IGNORE_FILE + 1)
        if len(data) > _MAX_IGNORE_FILE:
            raise LayerError(f"the ignore file {os.fsdecode(path)} is larger than {_MAX_IGNORE_FILE} bytes")
        self._total += len(data)
        if self._total > _MAX_IGNORE_FILES:
            raise LayerError(f"the ignore files of {self._origin} have more than {_MAX_IGNORE_FILES} bytes together")
        data = data[3:] if data.startswith(b"\xef\xbb\xbf") else data
        return [line[:-1] if line.endswith(b"\r") else line for line in data.split(b"\n")]
