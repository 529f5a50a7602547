"""One thing done once, however many threads want it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")


class Once(Generic[Key, T]):
    """What was done, by key. Who wants what another thread is doing waits for it; what failed is tried again."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[Key, threading.Lock] = {}
        self._done: dict[Key, T] = {}

    def run(self, key: Key, work: Callable[[], T], *, again: bool = False) -> tuple[T, bool]:
        """What `work` gave for `key`, and whether it was run for this call. `again`: even if it was done before."""
        with self._guard:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key in self._done and not again:
                return self._done[key], False
            found = work()
            self._done[key] = found
            return found, True

    def forget(self, key: Key) -> None:
        """What was done is undone."""
        with self._guard:
            self._done.pop(key, None)

    def done(self) -> list[Key]:
        """The keys of what was done so far."""
        with self._guard:
            return list(self._done)
