"""Runs commands as whole processes and says what they cost: CPU, wall time, peak memory."""

import os
import resource
import statistics
import subprocess
import sys
from typing import NamedTuple

# `getrusage` of children carries the peak of whoever forked over to them: a small parent starts what is measured.
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
    """Seconds of CPU and of wall time, and the peak memory of the largest process in MB."""

    cpu: float
    wall: float
    rss: float


def measure(argv: list, cwd: str) -> Cost:
    """Run a command once. Raises RuntimeError when it fails."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _RUNNER, *argv], cwd=cwd, capture_output=True, text=True, check=False
    )
    try:
        code, cpu, wall, rss = done.stdout.split()
    except ValueError:
        raise RuntimeError(f"{argv[0]} was not run: {done.stderr}") from None
    if code != "0":
        raise RuntimeError(f"{argv}: exit status {code}: {done.stderr[-500:]}")
    return Cost(float(cpu), float(wall), int(rss) / 1024)


def median(costs: list) -> Cost:
    """Each figure's median, and of memory the largest."""
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
        max(cost.rss for cost in costs),
    )


def load() -> float:
    """Of the last minute: wall times mean something below about 1.5."""
    return os.getloadavg()[0]


assert resource
