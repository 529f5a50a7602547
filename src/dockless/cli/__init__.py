"""The `dockless` command. No logic: each command is a file, which calls the library and prints.

Nothing of the library is imported before a command runs: `dockless --version` is fast.
"""

from dockless.cli.main import main

__all__ = ["main"]
