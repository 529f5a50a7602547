"""Runs a program that connects to registries: signals, plan, import path and environment.

Exit status of all programs: 0 on success, 1 on failure (stderr is one line that begins with `error: `), 130 or 143
after SIGINT or SIGTERM.
"""

import os
import signal
import sys
from typing import Any, Callable, NoReturn


def exit_on_signals() -> None:
    """Exit immediately on SIGINT and SIGTERM, without a traceback. For use while there is nothing to clean up."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))


def raise_on_signals() -> None:
    """Raise SystemExit on SIGINT and SIGTERM, so that the program cleans up."""
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def run(main: Callable[..., int]) -> NoReturn:
    """Call `main` with the path of the plan and further arguments, and exit with the returned status."""
    default_hook = sys.unraisablehook
    # The default hook prints a SystemExit that a signal raises in a finalizer or a callback.
    sys.unraisablehook = lambda error: None if error.exc_type is SystemExit else default_hook(error)
    try:
        status = main(*sys.argv[1:])
    except Exception as error:
        # Python would print messages, which may contain text of a registry, as they are.
        from dockless._printable import traceback_lines

        print(*traceback_lines(error), sep="\n", file=sys.stderr)
        status = 1
    finally:
        exit_on_signals()
    sys.exit(status)


def read_plan(path: str) -> dict[str, Any]:
    """Read the plan, extend the import path, and load the environment from its file, which is deleted."""
    import json

    with open(path, "rb") as file:
        plan: dict[str, Any] = json.load(file)
    sys.path[:0] = plan["import_from"]
    if "environment" in plan:
        try:
            with open(plan["environment"], "rb") as file:
                os.environ.update(json.load(file))
            os.unlink(plan["environment"])
        except OSError as error:
            print(f"error: cannot read the environment: {error.strerror}; run the command again", file=sys.stderr)
            sys.exit(1)
    return plan


# At import time, because the following imports take most of the start-up time.
exit_on_signals()
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
