"""Waits for an observed state instead of a fixed time."""

import time


def wait_until(condition, description="it", seconds=60.0):
    """Returns the first true value of `condition()`. Fails if there is none within `seconds`."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{description} did not happen in {seconds} s"
        time.sleep(0.01)
    return found
