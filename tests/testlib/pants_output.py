"""Parses the output of Pants."""

import re

from real_tools import ProgramResult

# Pants solves the rules of each backend when it starts: without the Python backend that takes half the time. The BUILD
# file of the root and pants.toml use that backend.
ONLY_DOCKLESS = {
    "PANTS_BACKEND_PACKAGES": '["pants_dockless"]',
    "PANTS_BUILD_IGNORE": '["/BUILD"]',
    "PANTS_VERIFY_CONFIG": "false",
}


def counters(done: ProgramResult) -> dict[str, int]:
    """Returns the counters that `--stats-log` prints, those that are zero left out."""
    found = {name: int(value) for name, value in re.findall(r"^  (\w+): (\d+)$", done.err, re.MULTILINE)}
    assert found, f"no counters: {done.err}"
    return {name: value for name, value in found.items() if value}


def started_processes(done: ProgramResult) -> list[str]:
    """Returns the descriptions of the processes that Pants reported as started, without the resolution of plugins."""
    return re.findall(r"\[INFO\] Starting: (?!Resolving plugins)(.*)", done.err)


def error_line(done: ProgramResult, address: str) -> str:
    """Returns the one line that names the failure of a target."""
    lines = {line for line in done.err.splitlines() if f"{address}: " in line and "[INFO]" not in line}
    assert len(lines) == 1, done.err
    return lines.pop()
