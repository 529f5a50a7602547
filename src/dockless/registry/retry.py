"""When a failed request is repeated: the policy, and the one table of what is retryable."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Event
from typing import NamedTuple, TypeVar

from dockless._concurrency import CancelledError
from dockless.registry.clock import Clock, time_left, time_limit
from dockless.registry.errors import RegistryConnectionError, RegistryError, RegistryRequestError, ResponseError
from dockless.registry.http.minimum_rate import MIN_RATE

logger = logging.getLogger("dockless.registry")

T = TypeVar("T")


class RetryPolicy(NamedTuple):
    """At most `attempts` attempts; the pause after the nth is up to `base * 2**(n - 1)` seconds, at most `cap`.

    `attempts_to_connect` is the number for hosts that cannot be reached. `budget` limits the seconds without progress,
    from the start of an operation to its end: attempts, pauses, and waits for a response. Only a body that is being
    sent is not interrupted. With a budget of 0 there is one attempt. A registry's Retry-After is obeyed up to
    `longest_wait` seconds; a longer one makes the error final.
    """

    attempts: int = 6
    base: float = 0.5
    cap: float = 30.0
    budget: float = 300.0
    longest_wait: float = 60.0
    # Most hosts that cannot be reached are misspelled: further attempts are for a registry that is being restarted.
    attempts_to_connect: int = 4


class Verdict(NamedTuple):
    """Whether another attempt may succeed, and how many attempts there are at most in all (0: as the policy says)."""

    retryable: bool
    attempts: int = 0


FINAL = Verdict(False)
RETRY = Verdict(True)

# While other operations succeed, an operation has this many times the attempts of the policy.
_MAX_SHARED = 4
# Seconds for the last attempt before the end of the budget.
_LAST_ATTEMPT = 10.0

# What is retryable. Statuses 499, 520 to 530, 598 and 599 are used by proxies and CDNs for failures of the registry
# behind them, 421 for a connection of another host, 423 for something that another request has locked.
RETRYABLE_STATUS = frozenset((408, 421, 423, 425, 429, 499, 500, 502, 503, 504, 509, *range(520, 531), 598, 599))
# For registries that send these with another status.
RETRYABLE_CODES = frozenset(("TOOMANYREQUESTS", "UNAVAILABLE"))
BY_REASON = {
    # Of RegistryConnectionError.
    "unreachable": RETRY,
    "refused": RETRY,
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
    # Of UnauthorizedError: a new token was rejected, although an earlier one was accepted for the same purpose.
    "token ended": Verdict(True, 4),
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
    if isinstance(error, ResponseError) and not error.reason:
        if error.method == "PUT" and "/manifests/" in error.path and "DIGEST_INVALID" in error.codes:
            return DAMAGED_MANIFEST
        is_refusal = error.status in (401, 403)
        if error.status in RETRYABLE_STATUS or (not is_refusal and RETRYABLE_CODES.intersection(error.codes)):
            return RETRY
        if error.is_redirected and error.method == "GET" and error.status in (400, 403):
            return NOT_SIGNED
        return UNEXPECTED_SUCCESS if 200 <= error.status < 300 else FINAL
    return BY_REASON.get(error.reason, FINAL) if isinstance(error, RegistryRequestError) else FINAL


class Retrier:
    """Repeats operations by one policy.

    Operations that run at the same time share a count of what was achieved: while others of them succeed, interrupted
    connections are a fault that comes and goes, and no reason to give up.
    """

    def __init__(self, policy: RetryPolicy, clock: Clock) -> None:
        self.policy = policy
        self.clock = clock
        self._achieved = [0]

    def attempts(
        self, *, stop: Event | None = None, on_retry: Callable[[RegistryError, float], None] | None = None
    ) -> Attempts:
        """Return a new count of attempts. See Attempts."""
        return Attempts(self.policy, self.clock, stop=stop, on_retry=on_retry, achieved=self._achieved)

    def run(self, operation: Callable[[], T], *, stop: Event | None = None, share: float = 1.0) -> T:
        """Return the result of an idempotent operation, which is repeated while its RegistryError is retryable.

        It takes at most `share` of the time that the policy allows.
        """
        attempts = self.attempts(stop=stop)
        attempts.share = share
        with attempts.limit():
            while True:
                try:
                    result = operation()
                    attempts.progressed()
                    return result
                except RegistryError as error:
                    attempts.wait(error)

    def limit(self) -> AbstractContextManager[None]:
        """Limit all operations in the context together to the time that the policy allows for one."""
        return self.attempts().limit()


class Attempts:
    """Counts the attempts at one operation. Progress resets the count: a long transfer may fail any number of times.

    `stop` ends the attempts from another thread. `on_retry` is called with each retryable error and the pause in
    seconds that follows. `achieved` is the common count of operations that run at the same time. `share` is the part of
    the policy's budget that may be used.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        clock: Clock,
        *,
        stop: Event | None = None,
        on_retry: Callable[[RegistryError, float], None] | None = None,
        achieved: list[int] | None = None,
    ) -> None:
        self.share = 1.0
        self._policy = policy
        self._clock = clock
        self._stop = stop
        self._on_retry = on_retry
        self._achieved = [0] if achieved is None else achieved
        self._achieved_before = 0
        # Failures since this or another operation achieved something, and since this operation did. Interrupted
        # requests are counted by method: a failure of one request of a sequence says nothing about the other requests.
        self._failures: Counter[str] = Counter()
        self._own_failures = 0
        self._was_stale = False
        self._is_last = False
        # The start of the time without progress, and the end of the last `limit`.
        self._since = self._left_at = clock.monotonic()

    def progressed(self) -> None:
        """Record that something was achieved which the next attempt need not repeat."""
        self.advanced()
        self._since = self._clock.monotonic()
        self._is_last = False

    def advanced(self) -> None:
        """Record that the operation went one step further than before. The step may have to be repeated."""
        self._failures.clear()
        self._own_failures = 0
        self._was_stale = False
        self._achieved[0] += 1

    def moved(self, count: int) -> None:
        """Record that `count` bytes were transferred for the first time: moving them is no time without progress."""
        self._since = min(self._since + count / MIN_RATE, self._clock.monotonic())

    @contextmanager
    def limit(self, *, is_nested: bool = True) -> Iterator[None]:
        """Limit the waits of requests in the context to the time that is left. See `time_limit`.

        The time between two such contexts does not count.
        """
        self._since += self._clock.monotonic() - self._left_at
        try:
            with time_limit(self._time_left, is_nested=is_nested):
                yield
        finally:
            self._left_at = self._clock.monotonic()

    def wait(self, error: RegistryError, verdict: Verdict | None = None) -> None:
        """Pause before the next attempt, or raise `error` if there is to be none.

        `verdict` is that of the caller, if the error alone does not decide.
        """
        self.check()
        policy = self._policy
        retryable, limit = verdict or classify(error)
        if not retryable:
            raise error
        connection_error = error if isinstance(error, RegistryConnectionError) else None
        if connection_error and connection_error.is_stale and not self._was_stale:
            # No attempt: the registry has most probably not seen the request.
            self._was_stale = True
            logger.info("%s; again at once", error)
            if self._on_retry:
                self._on_retry(error, 0.0)
            return
        reason = connection_error.reason if connection_error else ""
        if reason in ("unreachable", "refused"):
            limit = policy.attempts_to_connect
        attempts = min(policy.attempts, limit or policy.attempts)
        left = min(self._time_left(), time_left())
        is_worthwhile = self._count(attempts, connection_error.method if connection_error else "", reason)
        failures = sum(self._failures.values())
        if not is_worthwhile or not policy.budget or left <= 0:
            raise error
        retry_after = (error.retry_after if isinstance(error, RegistryRequestError) else None) or 0.0
        if retry_after > policy.longest_wait and isinstance(error, RegistryRequestError):
            raise error.replace(hint=f"the registry asks to wait {retry_after:.0f} s; try again after that")
        # With jitter, so that many builders that failed together do not return together.
        pause = min(policy.cap, policy.base * 2 ** min(failures - 1, 30)) * (0.5 + self._clock.random() / 2)
        if retry_after >= left:
            raise error
        if pause >= left:
            # The last attempt gets a part of the time that is left.
            self._is_last = True
            pause = max(left / 2, left - _LAST_ATTEMPT)
        pause = max(pause, retry_after)
        logger.info("%s; attempt %d of %d in %.1f s", error, failures + 1, attempts, pause)
        if self._on_retry:
            self._on_retry(error, pause)
        self._clock.pause(pause, self._stop)
        self.check()

    def check(self) -> None:
        """Raise CancelledError if another thread has ended the attempts."""
        if self._stop is not None and self._stop.is_set():
            raise CancelledError

    def _count(self, attempts: int, method: str, reason: str) -> bool:
        """Count a failure. Return whether another attempt may follow."""
        is_interrupted = reason == "interrupted"
        if is_interrupted and self._achieved[0] != self._achieved_before:
            self._failures.clear()
        self._achieved_before = self._achieved[0]
        key = method if is_interrupted else ""
        self._failures[key] += 1
        self._own_failures += 1
        return self._failures[key] < attempts and self._own_failures < attempts * _MAX_SHARED and not self._is_last

    def _time_left(self) -> float:
        """Return the seconds until the operation is given up; infinity for a budget of 0, which allows one attempt."""
        policy = self._policy
        if not policy.budget:
            return float("inf")
        return policy.budget * self.share - (self._clock.monotonic() - self._since)
