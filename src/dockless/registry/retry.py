"""When a failed request is repeated: the policy, and the one table of what is retryable."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event
from typing import NamedTuple, TypeVar

from dockless._concurrency import CancelledError
from dockless.registry.clock import Clock
from dockless.registry.errors import RegistryError, RegistryRequestError, ResponseError

logger = logging.getLogger("dockless.registry")

T = TypeVar("T")


class RetryPolicy(NamedTuple):
    """At most `attempts` attempts; the pause after the nth is up to `base * 2**(n - 1)` seconds, at most `cap`.

    `budget` limits the seconds from the first failure to the start of the last attempt. A registry's Retry-After is
    obeyed up to `longest_wait` seconds; a longer one makes the error final.
    """

    attempts: int = 6
    base: float = 0.5
    cap: float = 30.0
    budget: float = 300.0
    longest_wait: float = 60.0


class Verdict(NamedTuple):
    """Whether another attempt may succeed, and how many attempts there are at most in all (0: as the policy says)."""

    retryable: bool
    attempts: int = 0


FINAL = Verdict(False)
RETRY = Verdict(True)

# What is retryable. Statuses 499, 520 to 530, 598 and 599 are used by proxies and CDNs for failures of the registry
# behind them, 421 for a connection of another host, 423 for something that another request has locked.
RETRYABLE_STATUS = frozenset((408, 421, 423, 425, 429, 499, 500, 502, 503, 504, 509, *range(520, 531), 598, 599))
# For registries that send these with another status.
RETRYABLE_CODES = frozenset(("TOOMANYREQUESTS", "UNAVAILABLE"))
# Most hosts that cannot be reached are misspelled: further attempts are for a registry that is being restarted.
ATTEMPTS_TO_CONNECT = 4
BY_REASON = {
    # Of RegistryConnectionError.
    "unreachable": Verdict(True, ATTEMPTS_TO_CONNECT),
    "refused": Verdict(True, ATTEMPTS_TO_CONNECT),
    # Refused, but reachable a moment ago.
    "restarting": RETRY,
    "interrupted": RETRY,
    "certificate": FINAL,
    "plain http": FINAL,
    "proxy": FINAL,
    # Of ProtocolError.
    "damaged manifest": Verdict(True, 2),
    "damaged blob": RETRY,
    # Instead of a document.
    "web page": Verdict(True, 2),
    "truncated blob": RETRY,
    "wrong range": RETRY,
    "other content stored": Verdict(True, 3),
    # According to HEAD after a push, although the response to each PUT was 201.
    "nothing stored": Verdict(True, 4),
    "upload without location": Verdict(True, 2),
    "upload too long": RETRY,
    "chunk not complete": RETRY,
    "no usable token": Verdict(True, 2),
}
# A signed URL whose time is over: the registry makes a new one. A success status that the specification does not have
# for the request: a proxy or a cache may be restarting.
NOT_SIGNED = Verdict(True, 2)
UNEXPECTED_SUCCESS = Verdict(True, 2)
# The content was damaged on its way to the registry: of a manifest, and of a blob.
DAMAGED_MANIFEST = Verdict(True, 2)
DAMAGED_UPLOAD = Verdict(True, 4)
# A manifest that was refused because the registry lacks what the manifest names, or does not know that it has it.
MISSING_CONTENT = Verdict(True, 4)
# An upload session that no longer exists; one whose chunks are refused, for their size or at all.
LOST_SESSION = Verdict(True, 4)
REFUSED_CHUNK = RETRY


def classify(error: RegistryError) -> Verdict:
    """Return whether a request that failed with `error` is worth another attempt."""
    if isinstance(error, ResponseError):
        if error.method == "PUT" and "/manifests/" in error.path and "DIGEST_INVALID" in error.codes:
            return DAMAGED_MANIFEST
        is_refusal = error.status in (401, 403)
        if error.status in RETRYABLE_STATUS or (not is_refusal and RETRYABLE_CODES.intersection(error.codes)):
            return RETRY
        if error.is_redirected and error.method == "GET" and error.status in (400, 403):
            return NOT_SIGNED
        return UNEXPECTED_SUCCESS if 200 <= error.status < 300 else FINAL
    return BY_REASON.get(error.reason, FINAL) if isinstance(error, RegistryRequestError) else FINAL


class Retrier(NamedTuple):
    """Repeats operations by one policy."""

    policy: RetryPolicy
    clock: Clock

    def attempts(
        self, *, stop: Event | None = None, on_retry: Callable[[RegistryError, float], None] | None = None
    ) -> Attempts:
        """Return a new count of attempts. See Attempts."""
        return Attempts(self.policy, self.clock, stop=stop, on_retry=on_retry)

    def run(self, operation: Callable[[], T], *, stop: Event | None = None) -> T:
        """Return the result of an idempotent operation, which is repeated while its RegistryError is retryable."""
        attempts = self.attempts(stop=stop)
        while True:
            try:
                return operation()
            except RegistryError as error:
                attempts.wait(error)


class Attempts:
    """Counts the attempts at one operation. Progress resets the count: a long transfer may fail any number of times.

    `stop` ends the attempts from another thread. `on_retry` is called with each retryable error and the pause in
    seconds that follows.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        clock: Clock,
        *,
        stop: Event | None = None,
        on_retry: Callable[[RegistryError, float], None] | None = None,
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._stop = stop
        self._on_retry = on_retry
        self._failures = 0
        self._first_failure = 0.0

    def progressed(self) -> None:
        """Record that something was achieved which the next attempt need not repeat."""
        self._failures = 0

    def wait(self, error: RegistryError, verdict: Verdict | None = None) -> None:
        """Pause before the next attempt, or raise `error` if there is to be none.

        `verdict` is that of the caller, if the error alone does not decide.
        """
        self.check()
        policy = self._policy
        self._failures += 1
        now = self._clock.monotonic()
        if self._failures == 1:
            self._first_failure = now
        retryable, limit = verdict or classify(error)
        attempts = min(policy.attempts, limit or policy.attempts)
        if not retryable or self._failures >= attempts:
            raise error
        retry_after = (error.retry_after if isinstance(error, RegistryRequestError) else None) or 0.0
        if retry_after > policy.longest_wait and isinstance(error, RegistryRequestError):
            raise error.replace(hint=f"the registry asks to wait {retry_after:.0f} s; try again after that")
        # With jitter, so that many builders that failed together do not return together.
        pause = min(policy.cap, policy.base * 2 ** min(self._failures - 1, 30)) * (0.5 + self._clock.random() / 2)
        pause = max(pause, retry_after)
        if now - self._first_failure + pause > policy.budget:
            raise error
        logger.info("%s; attempt %d of %d in %.1f s", error, self._failures + 1, attempts, pause)
        if self._on_retry:
            self._on_retry(error, pause)
        self._clock.pause(pause, self._stop)
        self.check()

    def check(self) -> None:
        """Raise CancelledError if another thread has ended the attempts."""
        if self._stop is not None and self._stop.is_set():
            raise CancelledError
