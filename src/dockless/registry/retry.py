"""When to try again: bounded attempts, a bounded time, pauses with jitter."""

from __future__ import annotations

import logging
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from dockless.registry.clock import Clock
from dockless.registry.errors import RegistryError, is_transient

logger = logging.getLogger("dockless.registry")


class RetryPolicy(NamedTuple):
    """`attempts` in all; the nth pause is up to `base * 2**n` seconds, at most `cap`; `budget` seconds in all.

    A registry's Retry-After is obeyed up to `longest_wait` seconds; beyond that the error is final.
    """

    attempts: int = 6
    base: float = 0.5
    cap: float = 30.0
    budget: float = 300.0
    longest_wait: float = 60.0


class Retries:
    """The attempts at one thing. Progress gives the attempts back, not the time."""

    def __init__(self, policy: RetryPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._begin = clock.monotonic()
        self._failed = 0

    def progressed(self) -> None:
        """A slow or broken link that moves on is not given up for the number of its failures."""
        self._failed = 0

    def wait(self, error: RegistryError) -> None:
        """Pauses before the next attempt, or raises `error` where there is to be none."""
        self._failed += 1
        policy = self._policy
        if not is_transient(error) or self._failed >= policy.attempts:
            raise error
        asked = getattr(error, "retry_after", None)
        if asked is not None and asked > policy.longest_wait:
            error.hint = f"the registry asks to wait {asked:.0f} s: try again then"
            raise error
        # Full jitter: a fleet of builders that failed together must not come back together.
        pause = min(policy.cap, policy.base * 2 ** (self._failed - 1)) * (0.5 + self._clock.random() / 2)
        pause = max(pause, asked or 0.0)
        if self._clock.monotonic() - self._begin + pause > policy.budget:
            raise error
        logger.info("%s; attempt %d of %d in %.1f s", error, self._failed + 1, policy.attempts, pause)
        self._clock.sleep(pause)


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
