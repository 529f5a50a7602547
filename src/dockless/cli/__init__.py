"""The `dockless` command. Each subcommand is a module that calls the library and prints the result.

A subcommand imports the library when it runs, so that `dockless --version` starts fast.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

__all__ = ["main"]

# Objects between two garbage collections. The modules that a command imports create many objects and no garbage: with
# Python's value of 700 the collections take 12 ms of a command.
_GC_THRESHOLD = 50_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit status, which `dockless.cli._main.run` describes."""
    is_process = argv is None
    if is_process:
        gc.set_threshold(_GC_THRESHOLD)
    try:
        from dockless.cli._signals import Interrupted, interrupt

        report = sys.unraisablehook
        # A signal during a finalizer would be printed as an ignored exception.
        sys.unraisablehook = lambda found: None if found.exc_type is Interrupted else report(found)
        try:
            from dockless.cli._main import run

            return run(argv)
        except Interrupted:
            # A second signal, during the cleanup after the first one.
            return 128 + interrupt.signal
        finally:
            sys.unraisablehook = report
    except KeyboardInterrupt:
        # Ctrl-C before the signal handlers are installed.
        return 130
    finally:
        if is_process:
            # The interpreter ends: its last collections, which take 15 ms, would find only what is about to be freed.
            gc.freeze()
