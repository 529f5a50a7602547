"""Python code in a process of its own, whose time and memory are measured."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

_TESTS = Path(__file__).resolve().parents[1]
# The peak of this process alone: ru_maxrss may be that of the parent before the program was executed.
_PROLOGUE = """
import atexit
def _report():
    with open("/proc/self/status") as file:
        peak = next(line.split()[1] for line in file if line.startswith("VmHWM"))
    print(f"\\npeak={peak}", flush=True)
atexit.register(_report)
"""


class Measured(NamedTuple):
    """`out` and `err` are what was printed, `mib` is the peak of the resident memory, `seconds` the time."""

    status: int
    out: str
    err: str
    mib: float
    seconds: float


def run_measured(code, *arguments, seconds=60.0):
    """Runs `code`, which finds `arguments` in sys.argv. Fails after `seconds`."""
    paths = [str(_TESTS.parent / "src"), str(_TESTS / "testlib")]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _PROLOGUE + code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
    )
    out, found, peak = done.stdout.rpartition("\npeak=")
    assert found, done.stderr
    return Measured(done.returncode, out, done.stderr, int(peak) / 1024, time.monotonic() - begun)


def run_command(*arguments, seconds=60.0):
    """Runs the command `dockless`."""
    return run_measured("import sys; from dockless.cli import main; sys.exit(main())", *arguments, seconds=seconds)
