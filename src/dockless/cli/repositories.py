"""`dockless repositories`."""

from __future__ import annotations

import argparse

from dockless.cli._options import Commands, access_of, add_command

_DESCRIPTION = """\
List the repositories of a registry, one per line, in the order of the registry.

A registry need not have this list: Docker Hub and many other hosted registries refuse the request, or allow the request
only to administrators.
"""


def add_to(commands: Commands) -> None:
    """Add the command `repositories`."""
    parser = add_command(
        commands,
        "repositories",
        "REGISTRY",
        "list the repositories of a registry",
        _DESCRIPTION,
        "  dockless repositories localhost:5000\n",
    )
    parser.add_argument("registry", metavar="REGISTRY", help="HOST or HOST:PORT, such as localhost:5000")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the repositories of a registry."""
    from dockless.cli._output import print_json, print_line
    from dockless.errors import InvalidValueError
    from dockless.oci.reference import Reference, check_registry

    registry, slash, rest = arguments.registry.partition("/")
    if slash and rest and "://" not in arguments.registry and "@" not in arguments.registry:
        raise InvalidValueError(
            f"{arguments.registry!r} names a repository, not a registry",
            hint=f"write the registry alone, {registry}; `dockless tags {arguments.registry}` lists the tags",
        )
    registry = check_registry(registry if slash and not rest else arguments.registry)
    with access_of(arguments) as access:
        # The client of a registry is found by a reference; the catalog belongs to no repository.
        repositories = list(access.client(Reference(registry, "_catalog")).repositories())
    if arguments.json:
        print_json({"registry": registry, "repositories": repositories})
    else:
        for repository in repositories:
            print_line(repository)
    return 0
