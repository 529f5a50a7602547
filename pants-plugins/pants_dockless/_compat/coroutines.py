"""What both generations' `concurrently` does with coroutines beside running them."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def closing_all(coroutines: tuple) -> Iterator[tuple]:
    """The coroutines given to `concurrently`, one by one or as one iterable; at the end all of them are closed.

    When one fails, others may have been suspended or not even started: Python would warn that those were never awaited.
    """
    given: tuple[Any, ...] = coroutines
    if len(coroutines) == 1 and not inspect.iscoroutine(coroutines[0]):
        given = tuple(coroutines[0])
    try:
        yield given
    finally:
        for coroutine in given:
            coroutine.close()
