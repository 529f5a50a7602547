"""Runs a command: its exit status, and errors as one line."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from dockless.cli.parser import make_parser
from dockless.cli.stop import Stopped, stop

# What a shell reports of a program that a signal ended: 128 and the signal's number.
_BY_SIGNAL = 128


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv`; returns its exit status.

    0 done, 1 failed (one line on stderr says what, where, why and what to do), 2 wrong usage, 130 after Ctrl-C, 143
    after SIGTERM. With `--debug`, a failure is a traceback too.
    """
    _open_streams()
    arguments = make_parser().parse_args(argv)
    previous = {number: signal.signal(number, _on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _run(arguments)
    except (Stopped, KeyboardInterrupt):
        return _BY_SIGNAL + (stop.signal or signal.SIGINT)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        stop.clear()


def _open_streams() -> None:
    """Where a shell closed one (`>&-`), the next file that is opened would take its place, and get what is printed."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def _run(arguments: argparse.Namespace) -> int:
    import logging

    from dockless.errors import DocklessError, printable

    if arguments.verbose:
        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s", stream=sys.stderr)
        logging.getLogger("urllib3").setLevel(logging.WARNING)
    else:
        logging.basicConfig(level=logging.WARNING, format="dockless: warning: %(message)s", stream=sys.stderr)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
        return status
    except DocklessError as error:
        if arguments.debug:
            raise
        print(f"dockless: error: {error}", file=sys.stderr)
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain of it once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if arguments.debug:
            raise
        said = printable(f"{type(error).__name__}: {error}", 500)
        print(f"dockless: error: this should not happen: {said}; run it again with --debug", file=sys.stderr)
    return 1


def _on_signal(number: int, frame: FrameType | None) -> None:
    stop.request(number)
    raise Stopped
