"""Several things at a time, until one fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from dockless.errors import InvalidValue

# What is under way when something failed is told to stop, and gets this many seconds to do so.
_GRACE = 10.0


class Stopped(Exception):
    """Somebody else failed, or the user interrupted: the work has lost its point."""


class Crew:
    """At most `size` threads. They are daemons: one that waits on a dead connection does not hold up the exit."""

    def __init__(self, size: int) -> None:
        self.stop = threading.Event()
        self._size = size

    def run(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Runs all tasks in order; returns when they are done. The first failure stops the others, and is raised."""
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
            except Stopped:
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
            # Ctrl-C is not kept waiting.
            self.stop.set()
            raise
        if failures:
            end = time.monotonic() + _GRACE
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
            raise failures[0]


def check_jobs(jobs: int) -> int:
    """`jobs` if it may be the most at a time, else InvalidValue."""
    if isinstance(jobs, bool) or not isinstance(jobs, int) or not 1 <= jobs <= 64:
        raise InvalidValue(f"jobs is {jobs!r}", hint="write a number from 1 to 64")
    return jobs
