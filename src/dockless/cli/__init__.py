"""The `dockless` command. No logic: each command calls the library and prints."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    from dockless.errors import DocklessError

    try:
        return int(arguments.run(arguments))
    except DocklessError as error:
        if arguments.debug:
            raise
        print(f"dockless: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    from dockless import __version__

    parser = argparse.ArgumentParser(prog="dockless", description="Container images, with no Docker.")
    parser.add_argument("--version", action="version", version=f"dockless {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--insecure", action="store_true", help="allow plain http and unverified TLS")
    common.add_argument("--ca-file", metavar="FILE", help="a PEM file of the CAs to trust")
    common.add_argument("--auth-file", metavar="FILE", help="credentials, as docker login or podman login write them")
    common.add_argument("--json", action="store_true", help="print one JSON object")
    common.add_argument("--debug", action="store_true", help="show a traceback when something fails")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    tags = commands.add_parser("tags", parents=[common], help="list the tags of a repository, one a line")
    tags.add_argument("repository", metavar="REPOSITORY", help="such as ghcr.io/acme/app")
    tags.set_defaults(run=_tags)
    return parser


def _tags(arguments: argparse.Namespace) -> int:
    from dockless.reference import Reference
    from dockless.registry import RegistryClient

    reference = Reference.parse(arguments.repository)
    with RegistryClient(
        reference.registry,
        insecure=arguments.insecure,
        ca_file=arguments.ca_file,
        auth_file=arguments.auth_file,
    ) as client:
        found = list(client.tags(reference.repository))
    if arguments.json:
        import json

        print(json.dumps({"repository": reference.name, "tags": found}))
    else:
        for tag in found:
            print(tag)
    return 0
