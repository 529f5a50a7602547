"""Cleanup of coroutines, shared by both implementations of `concurrently`."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def closing_all(coroutines: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield the coroutines that are passed to `concurrently`, as arguments or as one iterable. Close them at exit.

    If one coroutine fails, others may be suspended or may not have started. Python would warn that those coroutines
    were never awaited.
    """
    opened: tuple[Any, ...] = coroutines
    if len(coroutines) == 1 and not inspect.iscoroutine(coroutines[0]):
        opened = tuple(coroutines[0])
    try:
        yield opened
    finally:
        for coroutine in opened:
            coroutine.close()
