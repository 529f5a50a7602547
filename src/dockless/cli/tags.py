"""`dockless tags`."""

from __future__ import annotations

import argparse

from dockless.cli._options import Commands, access_of, add_command


def add_to(commands: Commands) -> None:
    """Add the command `tags`."""
    parser = add_command(
        commands,
        "tags",
        "REPOSITORY",
        "list the tags of a repository",
        "List the tags of a repository, one per line, in the order of the registry.",
        "  dockless tags docker.io/library/alpine\n",
    )
    parser.add_argument("repository", metavar="REPOSITORY", help="a repository such as ghcr.io/acme/app")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the tags of a repository."""
    from dockless.cli._output import print_json, print_line
    from dockless.errors import InvalidValueError
    from dockless.transfer.locations import to_location

    reference = to_location(arguments.repository).reference
    if reference is None:
        raise InvalidValueError(
            f"{arguments.repository} is not in a registry",
            hint=f"`dockless inspect {arguments.repository}` shows images on disk",
        )
    if reference.tag or reference.digest:
        raise InvalidValueError(
            f"{reference} names one image", hint=f"write REGISTRY/REPOSITORY, such as {reference.name}"
        )
    with access_of(arguments) as access:
        tags = list(access.client(reference).tags(reference.repository))
    if arguments.json:
        print_json({"repository": reference.name, "tags": tags})
    else:
        for tag in tags:
            print_line(tag)
    return 0
