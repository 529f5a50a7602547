"""Concurrent work: a pool of threads, and shared executions of the same work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from dockless.errors import InvalidValueError

# Seconds between two checks whether a wait has been canceled.
_CHECK_INTERVAL = 0.1
# Seconds that the remaining tasks have to end after one has failed.
_GRACE = 10.0


class CancelledError(Exception):
    """Raised in a worker when another task failed or the user interrupted the run."""


class WorkerPool:
    """Runs tasks in at most `size` threads. They are daemons, so that a dead connection does not delay the exit."""

    def __init__(self, size: int) -> None:
        self.stop = threading.Event()
        self._size = size

    def run(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Run all tasks, started in order, and return when all tasks have ended.

        The first error stops the other tasks and is raised.
        """
        todo = iter(tasks)
        lock = threading.Lock()
        failures: list[BaseException] = []
        finished = threading.Semaphore(0)

        def work() -> None:
            try:
                while not self.stop.is_set():
                    with lock:
                        task = next(todo, None)
                    if task is None:
                        return
                    task()
            except CancelledError:
                pass
            except BaseException as error:
                failures.append(error)
                self.stop.set()
            finally:
                finished.release()

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(self._size, len(tasks)))]
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                finished.acquire()
                if failures:
                    break
        except BaseException:
            # Ctrl-C takes effect immediately.
            self.stop.set()
            raise
        if failures:
            end = time.monotonic() + _GRACE
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
            raise failures[0]


def check_jobs(jobs: int) -> int:
    """Return `jobs` if it is a valid number of concurrent jobs. Raises InvalidValueError."""
    if isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= 64:
        raise InvalidValueError(f"jobs is {jobs!r}", hint="write a number from 1 to 64")
    return jobs


Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[Key, T]):
    """Results of work, by key. Concurrent calls for one key share one execution; failures are not kept."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Key, threading.Lock] = {}
        self._results: dict[Key, T] = {}

    def run(self, key: Key, work: Callable[[], T], *, again: bool = False) -> tuple[T, bool]:
        """Return the result of `work` for `key`, and whether `work` ran for this call.

        `again` runs `work` even if there is a result.
        """
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key in self._results and not again:
                return self._results[key], False
            result = work()
            self._results[key] = result
            return result, True

    def forget(self, key: Key) -> None:
        """Drop the result for `key`."""
        with self._guard:
            self._results.pop(key, None)


class KeyedLocks(Generic[Key]):
    """A lock for each key."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Key, threading.Lock] = {}

    @contextmanager
    def hold(self, key: Key, check: Callable[[], None]) -> Iterator[None]:
        """Hold the lock for `key` until the body ends. `check` is called while waiting; its exception ends the wait."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        while not lock.acquire(timeout=_CHECK_INTERVAL):
            check()
        try:
            yield
        finally:
            lock.release()
