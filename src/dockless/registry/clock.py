"""Time and randomness, which tests replace: a test of retries takes milliseconds."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import NamedTuple


class Clock(NamedTuple):
    """A clock: `monotonic` and `now` return seconds, `sleep` takes seconds, `random` returns a number from 0 to 1."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random

    def pause(self, seconds: float, stop: Event | None) -> None:
        """Sleep for some seconds, or until `stop` is set."""
        if stop is not None and self.sleep is time.sleep:
            stop.wait(seconds)
        else:
            self.sleep(seconds)


# For each thread, the functions that return the seconds left of the operations that it executes.
_limits = threading.local()


@contextmanager
def time_limit(left: Callable[[], float], *, is_nested: bool = True) -> Iterator[None]:
    """Limit the waits of this thread to the seconds that `left` returns, and with `is_nested` to the present limits."""
    outer: tuple[Callable[[], float], ...] = getattr(_limits, "active", ())
    _limits.active = (*outer, left) if is_nested else (left,)
    try:
        yield
    finally:
        _limits.active = outer


def time_left() -> float:
    """Return the seconds for which a request of this thread may wait; infinity without a limit."""
    limits: tuple[Callable[[], float], ...] = getattr(_limits, "active", ())
    return min((left() for left in limits), default=float("inf"))
