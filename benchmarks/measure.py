"""Runs commands and measures their cost as processes: CPU time, wall time and peak memory."""

import os
import statistics
import subprocess
import sys
from typing import NamedTuple

# A child process inherits the peak memory of its parent in `getrusage`. Therefore a small process starts the command.
_RUNNER = """
import os, resource, sys, time
begin = time.monotonic()
pid = os.fork()
if not pid:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execvp(sys.argv[1], sys.argv[1:])
status = os.waitpid(pid, 0)[1]
wall = time.monotonic() - begin
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, wall, used.ru_maxrss)
"""


class Cost(NamedTuple):
    """CPU and wall time in seconds, and the peak memory of the largest process in MiB."""

    cpu: float
    wall: float
    rss: float


def measure(argv: list, cwd: str) -> Cost:
    """Run a command once and return its cost. Raises RuntimeError if the command fails."""
    completed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _RUNNER, *argv], cwd=cwd, capture_output=True, text=True, check=False
    )
    try:
        code, cpu, wall, rss = completed.stdout.split()
    except ValueError:
        raise RuntimeError(f"{argv[0]} was not run: {completed.stderr}") from None
    if code != "0":
        raise RuntimeError(f"{argv}: exit status {code}: {completed.stderr[-500:]}")
    return Cost(float(cpu), float(wall), int(rss) / 1024)


def median(costs: list) -> Cost:
    """Return the medians of the times and the largest peak memory."""
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
        max(cost.rss for cost in costs),
    )


def load() -> float:
    """Return the load average of the last minute. Above about 1.5, wall times are not meaningful."""
    return os.getloadavg()[0]
