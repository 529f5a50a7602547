"""The parser of the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from typing import Any, NoReturn

from dockless import __version__
from dockless.cli import build, completion, copy, digest, inspect, repositories, serve, tags, verify

_DESCRIPTION = """\
Build, copy and verify container images without Docker.

A SOURCE or DESTINATION is
  a registry reference                 ghcr.io/acme/app:1.2.3, localhost:5000/app
  oci:DIR[:TAG]                        an OCI layout, which is a directory
  oci-archive:FILE[:TAG]               a tar of an OCI layout
  docker-archive:FILE[:REFERENCE]      an archive of docker save and docker load

The default registry of a SOURCE is Docker Hub; a DESTINATION in a registry names the registry. Credentials of docker
login and podman login are used.
"""
_EPILOG = """\
examples:
  dockless build oci:app:1.2.3 --base python:3.12-slim --add ./src:/app --cmd '["python", "/app/main.py"]'
  dockless copy oci:app:1.2.3 ghcr.io/acme/app:1.2.3
  dockless copy ghcr.io/acme/app:1.2.3 docker-archive:app.tar:acme/app:1.2.3    # then: docker load -i app.tar

See dockless COMMAND --help.
Exit status: 0 success, 1 failure, 2 usage error, 130, 143 or 129 interrupted by Ctrl-C, SIGTERM or SIGHUP."""

_SAVE = "dockless copy SOURCE DESTINATION"
# Commands of other tools, and how to do the same.
_OTHER_COMMANDS = {
    "push": f"`{_SAVE}` pushes, as in: dockless copy oci:DIR REGISTRY/REPOSITORY:TAG",
    "pull": f"`{_SAVE}` pulls, as in: dockless copy REGISTRY/REPOSITORY:TAG oci:DIR",
    "save": f"`{_SAVE}` saves, as in: dockless copy REGISTRY/REPOSITORY:TAG docker-archive:FILE",
    "load": f"`{_SAVE}` reads archives, as in: dockless copy docker-archive:FILE REGISTRY/REPOSITORY:TAG",
    "tag": f"`{_SAVE} --tag TAG` tags, as in: dockless copy REGISTRY/REPOSITORY:OLD REGISTRY/REPOSITORY:NEW",
    "list": "`dockless tags REPOSITORY` lists tags, `dockless repositories REGISTRY` lists repositories",
    "catalog": "`dockless repositories REGISTRY` lists repositories",
    "show": "`dockless inspect SOURCE` shows an image",
    "manifest": "`dockless inspect SOURCE --raw` prints the manifest",
    "config": "`dockless inspect SOURCE --config` prints the config",
    "validate": "`dockless verify SOURCE` verifies an image",
    "registry": "`dockless serve` runs a registry for tests, `dockless repositories REGISTRY` lists repositories",
    "login": "log in with `docker login` or `podman login`, whose credentials are used, or give --auth-file",
    "logout": "log out with `docker logout` or `podman logout`, whose credentials are used",
    "rm": "no command deletes: delete images with the web page or the API of the registry, a layout with `rm -r DIR`",
    "run": "no command runs images: load the image, as in: dockless copy SOURCE docker-archive:FILE, then docker load",
}
_OTHER_COMMANDS.update(
    {
        name: _OTHER_COMMANDS[other]
        for other, names in {
            "list": ("ls", "images", "list-tags"),
            "catalog": ("repos", "repo"),
            "tag": ("retag",),
            "save": ("export",),
            "load": ("import",),
            "push": ("publish",),
            "show": ("info", "history"),
            "rm": ("delete", "rmi", "remove", "prune"),
        }.items()
        for name in names
    }
)
# Short options of docker.
_DOCKER_OPTIONS = {"-t": "--tag", "-e": "--env", "-l": "--label", "-u": "--user", "-w": "--workdir", "-p": "--expose"}


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
        if argument in _DOCKER_OPTIONS and _DOCKER_OPTIONS[argument] in options:
            return f" (did you mean {_DOCKER_OPTIONS[argument]}?)"
        if argument in ("-f", "--file") and "--add" in options:
            return " (Dockerfiles are not read; --add, --env and other options describe the image)"
        # With a lower cutoff, --json would suggest --version.
        similar = difflib.get_close_matches(argument.partition("=")[0], options, 1, 0.75)
        if similar:
            return f" (did you mean {similar[0]}?)"
    return ""


class _TopParser(_Parser):
    """The parser of all commands. For the commands of other tools, it says how to do the same."""

    command_names: Collection[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        arguments = sys.argv[1:] if args is None else list(args)
        # No option before the command has a value.
        name = next((argument for argument in arguments if not argument.startswith("-")), None)
        if name is not None and name not in self.command_names:
            known = _OTHER_COMMANDS.get(name) or f"the commands are {', '.join(self.command_names)}"
            self.error(f"unknown command {name!r:.100}{_suggestion([name], list(self.command_names))}; {known}")
        return super().parse_known_args(arguments, namespace)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _TopParser(
        prog="dockless",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dockless {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands", parser_class=_Parser)
    for command in (build, copy, inspect, digest, tags, repositories, verify, serve, completion):
        command.add_to(commands)
    parser.command_names = commands.choices
    return parser
