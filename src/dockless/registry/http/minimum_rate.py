"""The least that a connection must move: a peer that trickles never trips a timeout of single reads."""

from __future__ import annotations

# Slower than any line that is of use.
_SLOWEST = 1024
_WINDOW = 60.0


class Stalled(TimeoutError):
    """A peer that trickles."""


class Pace:
    """Counts bytes and the seconds spent in waiting for them, not those that our own side took in between."""

    def __init__(self) -> None:
        self._bytes = 0
        self._seconds = 0.0

    def stalled(self, moved: int, seconds: float) -> bool:
        """Takes note of `moved` bytes in `seconds`; True when the last minute of waiting brought less than 60 KiB."""
        self._bytes += moved
        self._seconds += seconds
        if self._seconds < _WINDOW:
            return False
        slow = self._bytes < _SLOWEST * self._seconds
        self._bytes, self._seconds = 0, 0.0
        return slow

    def check(self, moved: int, seconds: float, what: str) -> None:
        """Raises Stalled, which names `what`, when it is."""
        if self.stalled(moved, seconds):
            raise Stalled(f"{what} moves less than 1 KiB a second, for a minute")
