"""Interruption by signals: the handler interrupts the main thread, and transfers check for it as they read."""

from __future__ import annotations


class Interrupted(BaseException):
    """Raised after SIGINT, SIGTERM or SIGHUP. Not an Exception, so that `except Exception` does not catch it."""


class _Interrupt:
    def __init__(self) -> None:
        # The number of the signal; 0 before one arrived.
        self.signal = 0

    def request(self, number: int) -> None:
        self.signal = number

    def clear(self) -> None:
        self.signal = 0

    def check(self) -> None:
        """Raise Interrupted after a signal."""
        if self.signal:
            raise Interrupted


interrupt = _Interrupt()
