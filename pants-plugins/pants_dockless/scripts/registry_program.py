"""Starts a program that speaks to registries: signals, plan, imports and environment. Lies beside the program.

Exit status of all programs: 0 done, 1 failed (one line on stderr begins with `error: `), 130 and 143 interrupted.
"""

import os
import signal
import sys


def exit_on_signals() -> None:
    """End the process on SIGINT and SIGTERM, without a traceback: nothing has begun, or all is done."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))


def raise_on_signals() -> None:
    """Raise SystemExit on SIGINT and SIGTERM, so that what has begun is cleaned up."""
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def run(main) -> None:
    """Run `main` with the plan's path, the one argument, and exit with its status."""
    report = sys.unraisablehook
    # A signal that arrives in a finalizer or a callback would be printed there.
    sys.unraisablehook = lambda found: None if found.exc_type is SystemExit else report(found)
    try:
        status = main(*sys.argv[1:])
    finally:
        exit_on_signals()
    sys.exit(status)


def read_plan(path: str) -> dict:
    """Read the plan, make its packages importable and load the environment from its file, which is deleted."""
    import json

    with open(path, "rb") as file:
        plan = json.load(file)
    sys.path[:0] = plan["import_from"]
    if "environment" in plan:
        try:
            with open(plan["environment"], "rb") as file:
                os.environ.update(json.load(file))
            os.unlink(plan["environment"])
        except OSError as error:
            print(f"error: cannot read the environment of this run: {error.strerror}; run it again", file=sys.stderr)
            sys.exit(1)
    return plan


# When this module is imported: the imports that follow take most of the start-up time.
exit_on_signals()
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
