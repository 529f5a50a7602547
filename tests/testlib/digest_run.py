"""Runs tests/testlib/digest_lock.py under another interpreter, processor or environment."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]


def compare_with_lock(
    interpreter: Sequence[str],
    *arguments: str,
    cases: int,
    checkout: Path = ROOT,
    cwd: Optional[Path] = None,
    env: Optional[dict[str, str]] = None,
    umask: int = 0o022,
) -> str:
    """Runs the comparison in `checkout` and returns its last line. Fails unless `cases` were built, none different."""
    program = str(checkout / "tests/testlib/digest_lock.py")
    done = subprocess.run(
        ["sh", "-c", f'umask {umask:03o}; exec "$@"', "sh", *interpreter, "-B", program, *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"{cases} cases, 0 differences "), last
    return last
