"""gitignore patterns (gitignore(5)): what is left out of a layer, and which paths a mode or an owner is for."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from dockless.errors import LayerError
from dockless.layer.wildmatch import Pattern, parse_pattern

_MAX_IGNORE_FILE = 1024 * 1024
T = TypeVar("T")


def compile_patterns(lines: Iterable[str], where: str) -> list[Pattern]:
    """The patterns, in order. Raises LayerError, naming `where`, for one that cannot be read."""
    found = []
    for line in lines:
        try:
            pattern = parse_pattern(os.fsencode(line))
        except ValueError as error:
            raise LayerError(f"{where} has a pattern that cannot be read: {line!r}", cause=str(error)) from None
        if pattern is not None:
            found.append(pattern)
    return found


class Ignores:
    """The ignore rules that hold in one folder of a source: its own, then those of the folders above."""

    def __init__(self, names: Iterable[str], patterns: Iterable[str], origin: str) -> None:
        self._names = tuple(os.fsencode(name) for name in names)
        patterns = tuple(patterns)
        self._specs: tuple[tuple[int, list[Pattern]], ...] = ()
        if patterns:
            self._specs = ((0, compile_patterns(patterns, f"`ignores` of {origin}")),)

    def __bool__(self) -> bool:
        return bool(self._names or self._specs)

    def is_ignore_file(self, name: bytes) -> bool:
        return name in self._names

    def within(self, folder: bytes, relative: bytes) -> Ignores:
        """The rules in `folder` on disk, which is `relative` to the source's root."""
        specs = self._specs
        for name in self._names:
            lines = _read_ignore_file(os.path.join(folder, name))
            if lines is not None:
                depth = len(relative) + 1 if relative else 0
                spec = compile_patterns(lines, os.fsdecode(os.path.join(folder, name)))
                specs = ((depth, spec), *specs)
        if specs == self._specs:
            return self
        inner = Ignores.__new__(Ignores)
        inner._names, inner._specs = self._names, specs
        return inner

    def ignored(self, relative: bytes, is_folder: bool) -> bool:
        """Whether this entry is left out. Of one in an ignored folder nobody asks: as in git, it cannot be had back."""
        for depth, patterns in self._specs:
            path = relative[depth:]
            for pattern in reversed(patterns):
                if pattern.matches(path, is_folder):
                    return not pattern.keeps
        return False


def _read_ignore_file(path: bytes) -> list[str] | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        # Absent, or a link: git does not read ignore files through links either.
        return None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(_MAX_IGNORE_FILE + 1)
    if len(data) > _MAX_IGNORE_FILE:
        raise LayerError(f"the ignore file {os.fsdecode(path)} is larger than {_MAX_IGNORE_FILE} bytes")
    data = data[3:] if data.startswith(b"\xef\xbb\xbf") else data
    return [os.fsdecode(line[:-1] if line.endswith(b"\r") else line) for line in data.split(b"\n")]


def _are_for(patterns: Iterable[Pattern], path: bytes, is_folder: bool) -> bool:
    return any(pattern.matches(path, is_folder) for pattern in patterns if not pattern.keeps)


class Rules(Generic[T]):
    """Pattern of paths in the image, or of folders above them -> value. Each must match something.

    The longest pattern that matches decides, not the last one: a dict's order is lost on the way through JSON, and
    nobody sees two BUILD files differ by it.
    """

    def __init__(self, values: Mapping[str, T], field: str) -> None:
        self._field = field
        self._rules = [
            (pattern, compile_patterns([pattern], f"`{field}`"), values[pattern])
            for pattern in sorted(values, key=lambda pattern: (len(pattern), pattern))
        ]
        self._unused = dict.fromkeys(values)
        # Which of them are for a folder or for one above it: most files have neighbours.
        self._of_folders: dict[bytes, frozenset[int]] = {b"": frozenset()}

    def __bool__(self) -> bool:
        return bool(self._rules)

    def find(self, name: bytes, default: T) -> T:
        inherited = self._inherited(name.rpartition(b"/")[0])
        found = default
        for n, (pattern, parsed, value) in enumerate(self._rules):
            if n in inherited or _are_for(parsed, name, False):
                self._unused.pop(pattern, None)
                found = value
        return found

    def _inherited(self, folder: bytes) -> frozenset[int]:
        if folder not in self._of_folders:
            own = (n for n, (_, parsed, _) in enumerate(self._rules) if _are_for(parsed, folder, True))
            self._of_folders[folder] = self._inherited(folder.rpartition(b"/")[0]).union(own)
        return self._of_folders[folder]

    def check_used(self) -> None:
        """Raises LayerError for a pattern that matched nothing: it is a mistake, and a silent one."""
        for pattern in self._unused:
            raise LayerError(
                f"`{self._field}`: {pattern!r} matches nothing in the layer",
                hint="a pattern is matched with the path in the image, such as /app/bin/*",
            )
