"""Concurrent calls for one key share one execution."""

import threading
import time

import pytest

from dockless._concurrency import SingleFlight


def test_concurrent_calls_share_one_execution():
    flight, runs, results = SingleFlight(), [], []

    def work():
        runs.append(None)
        time.sleep(0.05)
        return len(runs)

    threads = [threading.Thread(target=lambda: results.append(flight.run("key", work))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1 and sorted(results) == [(1, False)] * 4 + [(1, True)]


def test_a_failure_is_not_kept():
    flight = SingleFlight()

    def fail():
        raise ValueError

    with pytest.raises(ValueError):
        flight.run("key", fail)
    assert flight.run("key", lambda: 7) == (7, True)


def test_again_and_forget():
    flight = SingleFlight()
    assert flight.run("key", lambda: 1) == (1, True)
    assert flight.run("key", lambda: 2) == (1, False)
    assert flight.run("key", lambda: 2, again=True) == (2, True)
    flight.forget("key")
    assert flight.run("key", lambda: 3) == (3, True)
