"""The parser of the command line."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from dockless import __version__
from dockless.cli import build, copy, inspect, serve, tags, verify

_DESCRIPTION = """\
Build, copy and verify container images without Docker.

A SOURCE or DESTINATION is
  a registry reference                 ghcr.io/acme/app:1.2.3, localhost:5000/app
  oci:DIR[:TAG]                        an OCI layout, which is a directory
  oci-archive:FILE[:TAG]               a tar of an OCI layout
  docker-archive:FILE[:REFERENCE]      an archive of docker save and docker load

Credentials of docker login and podman login are used.
"""
_EPILOG = """\
See dockless COMMAND --help.
Exit status: 0 success, 1 failure, 2 usage error, 130, 143 or 129 interrupted by Ctrl-C, SIGTERM or SIGHUP."""


class _Parser(argparse.ArgumentParser):
    """Reports a usage error as one line, with a suggestion for a misspelled option."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            self.error(f"unrecognized arguments: {' '.join(unknown)}{_suggestion(unknown, options)}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        from dockless._printable import printable

        self.exit(2, f"{self.prog}: error: {printable(message, 2000)}; usage: {self.prog} --help\n")


def _suggestion(unknown: list[str], options: list[str]) -> str:
    import difflib

    for argument in unknown:
        # With a lower cutoff, --json would suggest --version.
        similar = difflib.get_close_matches(argument.partition("=")[0], options, 1, 0.75)
        if similar:
            return f" (did you mean {similar[0]}?)"
    return ""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="dockless",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dockless {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    for command in (build, copy, inspect, tags, verify, serve):
        command.add_to(commands)
    return parser
