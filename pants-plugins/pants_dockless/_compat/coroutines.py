"""Cleanup of coroutines, shared by both implementations of `concurrently`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def closing_all(coroutines: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the coroutines as a tuple, and close them at exit.

    If one coroutine fails, others may be suspended or may not have started. Python would warn that those coroutines
    were never awaited.
    """
    opened = tuple(coroutines)
    try:
        yield opened
    finally:
        for coroutine in opened:
            coroutine.close()
