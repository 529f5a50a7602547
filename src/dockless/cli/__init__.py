"""The `dockless` command. No logic: each command is a file, which calls the library and prints.

Nothing of the library is imported before a command runs: `dockless --version` is fast.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line `argv`; returns its exit status: `dockless.cli.main` says which."""
    try:
        from dockless.cli._signals import Stopped, stop

        try:
            from dockless.cli._main import run

            return run(argv)
        except Stopped:
            # One more signal, while what the first one ended is put away.
            return 128 + stop.signal
    except KeyboardInterrupt:
        # Ctrl-C in the first hundredths of a second, before there is anything to undo.
        return 130
