"""`dockless serve`."""

from __future__ import annotations

import argparse

from dockless.cli._options import Commands, add_command

_DESCRIPTION = """\
Serves a registry, for trying things out and for tests: plain http, nobody is asked who they are. Until Ctrl-C.

It is no place to keep images: no user, no quota, no garbage collection.
"""
_EXAMPLE = "  dockless serve --listen 127.0.0.1:5000 --data /tmp/registry\n"


def add_to(commands: Commands) -> None:
    parser = add_command(commands, "serve", "", "serve a registry for trying things out", _DESCRIPTION, _EXAMPLE)
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        default="127.0.0.1:5000",
        help="host:port; port 0 takes a free one, and the printed line tells (default: %(default)s)",
    )
    parser.add_argument(
        "--any-address", action="store_true", help="allow an address that others can reach: they could push"
    )
    parser.add_argument("--data", metavar="DIR", help="where content is kept (default: in memory, gone at the end)")
    parser.add_argument(
        "--profile",
        metavar="NAME",
        default="strict",
        help="whose habits it has, such as docker-registry (default: strict)",
    )
    parser.add_argument(
        "--faults", metavar="FILE", help="a JSON file of what is to go wrong, and when (docs/testing.md has the fields)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from dockless.cli._output import print_json
    from dockless.testing import read_faults
    from dockless.testing.serve import serve

    def announce(url: str, where: str) -> None:
        import sys

        if arguments.json:
            print_json({"url": url, "registry": url.partition("://")[2], "data": arguments.data})
        else:
            print(f"serving a registry on {url} ({where}); Ctrl-C ends")
        sys.stdout.flush()

    return serve(
        arguments.listen,
        arguments.data,
        arguments.profile,
        faults=read_faults(arguments.faults) if arguments.faults else (),
        any_address=arguments.any_address,
        announce=announce,
    )
