"""Time and chance, to be replaced in tests: a retry test takes milliseconds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Event
from typing import NamedTuple


class Clock(NamedTuple):
    """`monotonic` and `now` give seconds, `sleep` takes them, `random` gives 0 to 1."""

    monotonic: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random

    def pause(self, seconds: float, stop: Event | None) -> None:
        """Sleeps, but not beyond `stop`."""
        if stop is not None and self.sleep is time.sleep:
            stop.wait(seconds)
        else:
            self.sleep(seconds)
