"""Lists of lines for users, such as warnings. Their length does not depend on the size of the input."""

from __future__ import annotations

from collections import Counter

_LIMIT = 20
_MAX_LINES = 1000


class BoundedLines:
    """Lines of several kinds: the first 20 of each kind, and at most 1000. The others are counted if there are several.

    A kind completes "5 more ...". `count` is the number of all lines.
    """

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self._of_kind: Counter[str] = Counter()
        self._left_out: Counter[str] = Counter()
        # The last line of each kind that was left out.
        self._last: dict[str, str] = {}
        self.count = 0

    def add(self, kind: str, line: str) -> None:
        """Add a line, unless it was added before."""
        if line in self._lines:
            return
        self.count += 1
        if self._of_kind[kind] == _LIMIT or len(self._lines) == _MAX_LINES:
            self._left_out[kind] += 1
            self._last[kind] = line
        else:
            self._of_kind[kind] += 1
            self._lines[line] = kind

    def merge(self, other: BoundedLines) -> None:
        """Add the lines of `other` and the numbers of its others."""
        for line, kind in other._lines.items():
            self.add(kind, line)
        self._left_out.update(other._left_out)
        self._last.update(other._last)
        self.count += sum(other._left_out.values())

    def lines(self) -> tuple[str, ...]:
        """Return the lines, and for each kind that has others a line with their number."""
        left_out = dict(self._left_out)
        if len(left_out) > _LIMIT:
            left_out = {"of other kinds": sum(left_out.values())}
        # Instead of "1 more problems", the problem itself.
        return (
            *self._lines,
            *(f"{count} more {kind}" if count > 1 else self._last[kind] for kind, count in left_out.items()),
        )
