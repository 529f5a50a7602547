"""Runs a command line: exit status, signals, logging, and errors as one line."""

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

from dockless.cli._signals import Interrupted, interrupt
from dockless.cli.parser import make_parser

# The exit status of a program that a signal ended is this plus the number of the signal.
_BY_SIGNAL = 128


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` and return its exit status.

    0 success, 1 failure (with one line on stderr), 2 usage error, 130 after Ctrl-C, 143 after SIGTERM, 129 after
    SIGHUP. With `--debug`, a failure prints a traceback.
    """
    _open_standard_files()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Characters that the terminal cannot show are escaped.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Start-up creates many objects and no garbage: collecting it would take a tenth of the time.
    gc.set_threshold(max(20_000, gc.get_threshold()[0]))
    # At exit, collecting all objects would take 6 ms.
    atexit.register(gc.freeze)
    previous = {number: signal.signal(number, _on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        # Not ignored, as it is under nohup: the terminal was closed.
        previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, _on_signal)
    try:
        return _run(argv)
    except (Interrupted, KeyboardInterrupt):
        return _BY_SIGNAL + (interrupt.signal or signal.SIGINT)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        interrupt.clear()


def _open_standard_files() -> None:
    """Open closed standard files (`>&-`): otherwise the next file or socket gets their number, and their output."""
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
            # An exception that a signal raised in a finalizer was ignored.
            interrupt.check()
        except SystemExit:
            # After --help and --version, or a usage error.
            sys.stdout.flush()
            raise
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader of the output closed it, such as `head`.
        _discard_output()
    except Exception as error:
        # A signal at some moments makes CPython's `threading` raise a RuntimeError.
        interrupt.check()
        from dockless.cli._output import print_line, print_traceback
        from dockless.errors import DocklessError, printable

        if arguments.debug:
            print_traceback(error)

        if isinstance(error, DocklessError):
            message = f"{error}{_local_path_hint(arguments, error)}"
        elif isinstance(error, OSError) and error.filename is None:
            # Others are translated where they are raised.
            _discard_output()
            message = f"cannot write the output: {error.strerror or error}"
        else:
            message = printable(f"internal error: {type(error).__name__}: {error}", 500)
            if not arguments.debug:
                message += "; run the command again with --debug for a traceback"
        print_line(f"dockless: error: {message}", sys.stderr)
    return 1


def _discard_output() -> None:
    """Redirect stdout to /dev/null: at exit, Python would fail again to write the rest."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _local_path_hint(arguments: argparse.Namespace, error: Exception) -> str:
    """Return a hint for a source that no registry has, but that is the path of a local file or directory."""
    from dockless.errors import RegistryError

    for text in (getattr(arguments, name, None) for name in ("source", "base")):
        if isinstance(error, RegistryError) and text and os.path.exists(text):
            kind, forms = "directory", f"oci:{text}"
            if not os.path.isdir(text):
                kind, forms = "file", f"oci-archive:{text} or docker-archive:{text}"
            return f"; to read the local {kind} {text}, write {forms}"
    return ""


def _set_up_logging(verbose: bool, quiet: bool) -> None:
    import logging

    from dockless.cli._output import LogFormatter

    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter("%(name)s: %(message)s" if verbose else "dockless: warning: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])


def _on_signal(number: int, frame: FrameType | None) -> None:
    interrupt.request(number)
    raise Interrupted
