"""Minimum transfer rate. A peer that sends one byte at a time never triggers a timeout of single reads."""

from __future__ import annotations

# Bytes a second, slower than any usable network; and the seconds over which it is measured.
MIN_RATE = 1024
WINDOW = 60.0


class TransferTooSlowError(TimeoutError):
    """A transfer stayed below the minimum rate."""


class MinimumRate:
    """Counts the bytes of one transfer and the seconds spent waiting for the peer, not those spent on our own side."""

    def __init__(self) -> None:
        self._bytes = 0
        self._seconds = 0.0

    def check(self, transferred: int, seconds: float, label: str) -> None:
        """Record `transferred` bytes in `seconds` of waiting.

        Raises TransferTooSlowError, which names the transfer by `label`, when the last minute of waiting was too slow.
        """
        self._bytes += transferred
        self._seconds += seconds
        if self._seconds < WINDOW:
            return
        is_slow = self._bytes < MIN_RATE * self._seconds
        self._bytes, self._seconds = 0, 0.0
        if is_slow:
            raise TransferTooSlowError(f"{label} was transferred at less than 1 KiB per second for a minute")
