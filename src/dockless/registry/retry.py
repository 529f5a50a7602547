"""When a failed request is repeated: the policy, and the one table of what is retryable."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Event
from typing import NamedTuple, TypeVar

from dockless._concurrency import CancelledError
from dockless.registry.clock import Clock, time_left, time_limit
from dockless.registry.errors import (
    RegistryConnectionError,
    RegistryError,
    RegistryRequestError,
    ResponseError,
    TokenDeniedError,
    UnauthorizedError,
)
from dockless.registry.http.minimum_rate import MIN_RATE
from dockless.registry.http.web_page import is_page

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
    """Whether another attempt may succeed, and how many attempts there are at most in all (0: as the policy says).

    `is_refusal` is true if the request was refused, although perhaps not by the registry.
    """

    retryable: bool
    attempts: int = 0
    is_refusal: bool = False

    @property
    def is_temporary(self) -> bool:
        """Whether the request itself is probably right, so that nothing has to be done in another way."""
        return self.retryable and not self.is_refusal


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
# A manifest that arrived as it was sent is valid JSON and has its digest.
_DAMAGED = frozenset(("DIGEST_INVALID", "MANIFEST_INVALID"))
_BY_DIGEST = re.compile("/(?:blobs|manifests)/[a-z0-9]+:[0-9a-f]+$")
# Proxies refuse methods and sizes, and would do so again.
_CERTAIN_STATUS = frozenset((405, 411, 413, 415, 501, 505))
# Not all registries have these.
_OPTIONAL = re.compile("/referrers/|/_catalog$")
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
    # A response of the token server that is neither a token nor a temporary error.
    "no token": FINAL,
    # Instead of a document.
    "web page": Verdict(True, 2),
    "invalid document": Verdict(True, 2),
    # The response to the first request was not that of a registry, but perhaps that of a proxy.
    "not a registry": Verdict(True, 2),
    "truncated blob": RETRY,
    "wrong size": Verdict(True, 2),
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
    # The same for a password, and for requests without credentials.
    "access ended": Verdict(True, 2),
}
# A signed URL whose time is over: the registry makes a new one. A success status that the specification does not have
# for the request: a proxy or a cache may be restarting.
NOT_SIGNED = Verdict(True, 2)
UNEXPECTED_SUCCESS = Verdict(True, 2)
# A refusal without a code of the specification: that of a proxy or a CDN, most probably.
NOT_OF_REGISTRY = Verdict(True, 2, is_refusal=True)
# Content that an image names by its digest: a registry of several servers may need time to find it.
NOT_FOUND_YET = Verdict(True, 2)
# The code of errors that the registry itself cannot explain.
UNKNOWN_ERROR = Verdict(True, 3)
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
        return _of_response(error)
    return BY_REASON.get(error.reason, FINAL) if isinstance(error, RegistryRequestError) else FINAL


def _of_response(error: ResponseError) -> Verdict:
    codes = error.codes
    if error.status in RETRYABLE_STATUS:
        return RETRY
    if 200 <= error.status < 300:
        return UNEXPECTED_SUCCESS
    if error.status == 401 or (error.status == 403 and isinstance(error, TokenDeniedError)):
        # Credentials that were refused are not sent again: the account might be locked.
        return FINAL
    if RETRYABLE_CODES.intersection(codes):
        return RETRY
    if isinstance(error, TokenDeniedError):
        return FINAL
    if "UNKNOWN" in codes:
        return UNKNOWN_ERROR
    if error.method == "PUT" and "/manifests/" in error.path and _DAMAGED.intersection(codes):
        return DAMAGED_MANIFEST
    if error.method == "GET" and error.status == 404 and _BY_DIGEST.search(error.path):
        return NOT_FOUND_YET
    if error.is_redirected and error.method == "GET" and error.status in (400, 403):
        return NOT_SIGNED
    return FINAL if codes or _is_certain(error) else NOT_OF_REGISTRY


def _is_certain(error: ResponseError) -> bool:
    """Return whether a refusal without a code means what its status says."""
    if error.status in _CERTAIN_STATUS or error.method in ("HEAD", "DELETE"):
        return True
    if error.status == 403 and isinstance(error, UnauthorizedError):
        # Some registries answer a wrong password in this way.
        return not is_page(error.body)
    if error.method == "GET" and error.status in (400, 404) and _OPTIONAL.search(error.path):
        return True
    return error.status == 404 and error.method == "GET" and "/manifests/" in error.path and not is_page(error.body)


class Retrier:
    """Repeats operations by one policy.

    Operations that run at the same time share a count of what was achieved: while others of them succeed, interrupted
    connections and temporary errors are a fault that comes and goes, and no reason to give up.
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
        # Failures since this or another operation achieved something, and since this operation did. Temporary ones are
        # counted by method: a failure of one request of a sequence says nothing about the other requests.
        self._failures: Counter[str | None] = Counter()
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
        retryable, limit, _ = verdict or classify(error)
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
        is_overloaded = isinstance(error, ResponseError) and not limit
        method = error.method if isinstance(error, (RegistryConnectionError, ResponseError)) else ""
        is_worthwhile = self._count(attempts, method if is_overloaded or reason == "interrupted" else None)
        # A registry that is overloaded needs longer pauses, even if it accepts other requests meanwhile.
        failures = self._own_failures if is_overloaded else sum(self._failures.values())
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

    def _count(self, attempts: int, method: str | None) -> bool:
        """Count a failure; a temporary one has a `method`. Return whether another attempt may follow."""
        if method is not None and self._achieved[0] != self._achieved_before:
            self._failures.clear()
        self._achieved_before = self._achieved[0]
        self._failures[method] += 1
        self._own_failures += 1
        return self._failures[method] < attempts and self._own_failures < attempts * _MAX_SHARED and not self._is_last

    def _time_left(self) -> float:
        """Return the seconds until the operation is given up; infinity for a budget of 0, which allows one attempt."""
        policy = self._policy
        if not policy.budget:
            return float("inf")
        return policy.budget * self.share - (self._clock.monotonic() - self._since)
