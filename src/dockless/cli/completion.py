"""`dockless completion`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from dockless.cli._options import Commands, add_command

_DESCRIPTION = """\
Print a script for a shell that completes commands, options and file names. Needs the extra `completion`:
pip install 'dockless[completion]'.
"""
_EXAMPLE = """\
  dockless completion bash > ~/.local/share/bash-completion/completions/dockless
  dockless completion fish > ~/.config/fish/completions/dockless.fish
  dockless completion zsh > ~/.zfunc/_dockless      # a directory in $fpath, before compinit
"""
# Operands and options whose values are often paths.
_FILES = ("--add", "--auth-file", "--base", "--ca-file", "--faults", "source", "destination", "more")
_DIRECTORIES = ("--data",)


def add_to(commands: Commands) -> None:
    """Add the command `completion`."""
    parser = add_command(
        commands, "completion", "SHELL", "print a script for shell completion", _DESCRIPTION, _EXAMPLE, connects=False
    )
    parser.add_argument(
        "shell",
        metavar="SHELL",
        choices=("bash", "fish", "powershell", "tcsh", "zsh"),
        help="bash, fish, powershell, tcsh or zsh",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the script for a shell."""
    from dockless.cli._output import print_document, print_json
    from dockless.cli.parser import make_parser
    from dockless.errors import DocklessError

    try:
        import shtab
    except ImportError:
        raise DocklessError(
            "the package shtab is not installed", hint="install the extra: pip install 'dockless[completion]'"
        ) from None
    parser = make_parser()
    for action in _actions(parser):
        for name in (action.dest, *action.option_strings):
            kind = shtab.FILE if name in _FILES else shtab.DIRECTORY if name in _DIRECTORIES else None
            if kind is not None:
                action.complete = kind  # type: ignore[attr-defined]
    script = shtab.complete(parser, arguments.shell)
    if arguments.json:
        print_json({"shell": arguments.shell, "script": script})
    else:
        print_document(script.encode())
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the operands and options of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
