"""When to try again: bounded attempts, a bounded time, pauses with jitter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from threading import Event
from typing import NamedTuple

from dockless._concurrency import Stopped
from dockless.registry.clock import Clock
from dockless.registry.errors import Failure, RegistryError

logger = logging.getLogger("dockless.registry")


class RetryPolicy(NamedTuple):
    """`attempts` in all; the nth pause is up to `base * 2**n` seconds, at most `cap`.

    `budget` is the most seconds from the first failure to the begin of the last attempt. A registry's Retry-After is
    obeyed up to `longest_wait` seconds; beyond that the error is final.
    """

    attempts: int = 6
    base: float = 0.5
    cap: float = 30.0
    budget: float = 300.0
    longest_wait: float = 60.0


class Retries:
    """The attempts at one thing. What moves on is not given up for the number of its failures: progress begins anew.

    `stop` ends them from another thread. `tell` hears of each failure that is tried again, with the pause in seconds.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        clock: Clock,
        *,
        stop: Event | None = None,
        tell: Callable[[RegistryError, float], None] | None = None,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._stop = stop
        self._tell = tell
        self._failed = 0
        self._first_failure = 0.0

    def progressed(self) -> None:
        """Something was won that the next attempt need not win again."""
        self._failed = 0

    def wait(self, error: RegistryError) -> None:
        """Pauses before the next attempt, or raises `error` where there is to be none."""
        self.check()
        policy = self._policy
        self._failed += 1
        now = self._clock.monotonic()
        if self._failed == 1:
            self._first_failure = now
        if not isinstance(error, Failure) or not error.transient:
            raise error
        most = min(policy.attempts, error.attempts or policy.attempts)
        if self._failed >= most:
            raise error
        asked = error.retry_after
        if asked is not None and asked > policy.longest_wait:
            error.hint = f"the registry asks to wait {asked:.0f} s: try again then"
            raise error
        # Jitter: a fleet of builders that failed together must not come back together.
        pause = min(policy.cap, policy.base * 2 ** min(self._failed - 1, 30)) * (0.5 + self._clock.random() / 2)
        pause = max(pause, asked or 0.0)
        if now - self._first_failure + pause > policy.budget:
            raise error
        logger.info("%s; attempt %d of %d in %.1f s", error, self._failed + 1, most, pause)
        if self._tell:
            self._tell(error, pause)
        self._clock.pause(pause, self._stop)
        self.check()

    def check(self) -> None:
        """Raises Stopped when there is nothing to go on for."""
        if self._stop is not None and self._stop.is_set():
            raise Stopped


def parse_retry_after(text: str, clock: Clock) -> float | None:
    """Seconds to wait, from a Retry-After header (RFC 9110, section 10.2.3); None where it says nothing usable."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        wait = parsedate_to_datetime(text).timestamp() - clock.now()
    except (TypeError, ValueError, OverflowError):
        return None
    return wait if wait > 0 else None
