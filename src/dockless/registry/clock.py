"""Time and randomness, which tests replace: a test of retries takes milliseconds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
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
