"""Runs a command: its exit status, and errors as one line."""

from __future__ import annotations

import argparse
import atexit
import gc
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from dockless.cli._signals import Stopped, stop
from dockless.cli.parser import make_parser

# What a shell reports of a program that a signal ended: 128 and the signal's number.
_BY_SIGNAL = 128


def run(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv`; returns its exit status.

    0 done, 1 failed (one line on stderr says what, where, why and what to do), 2 wrong usage, 130 after Ctrl-C, 143
    after SIGTERM, 129 after SIGHUP. With `--debug`, a failure is a traceback too.
    """
    _open_standard_files()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name or label that the terminal cannot show is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Start-up makes many objects and no garbage: to look for it would be a tenth of its time.
    gc.set_threshold(max(20_000, gc.get_threshold()[0]))
    # And at the end all is garbage: to go through it is 6 ms.
    atexit.register(gc.freeze)
    previous = {number: signal.signal(number, _on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        # Not under nohup: the terminal is gone.
        previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, _on_signal)
    try:
        return _run(argv)
    except (Stopped, KeyboardInterrupt):
        return _BY_SIGNAL + (stop.signal or signal.SIGINT)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        stop.clear()


def _open_standard_files() -> None:
    """Opens anew what the caller closed (`>&-`): else the next file or connection has its number, and its output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _run(argv: Sequence[str] | None) -> int:
    arguments = argparse.Namespace(debug=False)
    try:
        try:
            make_parser().parse_args(argv, arguments)
            _set_up_logging(arguments.verbose, arguments.quiet)
            status: int = arguments.run(arguments)
            # A signal that came while a finalizer ran was lost there.
            stop.check()
        except SystemExit:
            # After --help and --version, or wrong usage.
            sys.stdout.flush()
            raise
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        _discard_output()
    except Exception as error:
        if arguments.debug:
            raise
        from dockless.errors import DocklessError, printable

        if isinstance(error, DocklessError):
            said = f"{error}{_on_disk(arguments, error)}"
        elif isinstance(error, OSError) and error.filename is None:
            # All others have been given their words where they were raised.
            _discard_output()
            said = f"cannot write the output: {error.strerror or error}"
        else:
            said = printable(f"this should not happen: {type(error).__name__}: {error}", 500)
            said += "; run it again with --debug"
        print(f"dockless: error: {said}", file=sys.stderr)
    return 1


def _discard_output() -> None:
    """Python would complain of what it could not write once more at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _on_disk(arguments: argparse.Namespace, error: Exception) -> str:
    """What else a source may have meant that no registry has."""
    from dockless.errors import RegistryError

    for text in (getattr(arguments, name, None) for name in ("source", "base")):
        if isinstance(error, RegistryError) and text and os.path.exists(text):
            forms = f"oci:{text}" if os.path.isdir(text) else f"oci-archive:{text} or docker-archive:{text}"
            return f"; if {text} on this machine is meant, write {forms}"
    return ""


def _set_up_logging(verbose: bool, quiet: bool) -> None:
    import logging

    if verbose:
        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s", stream=sys.stderr)
    else:
        level = logging.ERROR if quiet else logging.WARNING
        logging.basicConfig(level=level, format="dockless: warning: %(message)s", stream=sys.stderr)


def _on_signal(number: int, frame: FrameType | None) -> None:
    stop.request(number)
    raise Stopped
