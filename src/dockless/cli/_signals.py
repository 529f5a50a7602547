"""Stops what runs: the signal's handler interrupts the main thread, and each transfer sees it at its next bytes."""

from __future__ import annotations


class Stopped(BaseException):
    """Somebody pressed Ctrl-C or sent SIGTERM. Like KeyboardInterrupt, it is no error that code catches."""


class _Stop:
    def __init__(self) -> None:
        self.signal = 0

    def request(self, number: int) -> None:
        self.signal = number

    def clear(self) -> None:
        self.signal = 0

    def check(self) -> None:
        """Raises Stopped after a signal."""
        if self.signal:
            raise Stopped


stop = _Stop()
