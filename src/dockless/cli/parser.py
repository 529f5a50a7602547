"""The command line: what all commands have, and the commands."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from dockless import __version__
from dockless.cli import build, copy, inspect, serve, tags, verify

_DESCRIPTION = """\
Builds, copies and checks container images, with no Docker.

A SOURCE or DESTINATION is
  a registry reference                 ghcr.io/acme/app:1.2.3, localhost:5000/app
  oci:DIR[:TAG]                        an OCI layout, a folder
  oci-archive:FILE[:TAG]               a tar of an OCI layout
  docker-archive:FILE[:REFERENCE]      what docker save and docker load use

Credentials are those of docker login and podman login.
"""
_EPILOG = "dockless COMMAND --help says more of each. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."


class _Parser(argparse.ArgumentParser):
    """Wrong usage is one line as well: what is not known, and what may have been meant."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            known = [option for action in self._actions for option in action.option_strings]
            self.error(f"unrecognized arguments: {' '.join(unknown)}{_suggestion(unknown, known)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; usage: {self.prog} --help\n")


def _suggestion(unknown: list[str], known: list[str]) -> str:
    import difflib

    for argument in unknown:
        # At less than three quarters alike, --json is --version.
        likely = difflib.get_close_matches(argument.partition("=")[0], known, 1, 0.75)
        if likely:
            return f" (did you mean {likely[0]}?)"
    return ""


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
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
