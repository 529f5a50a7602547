"""`dockless serve`."""

from __future__ import annotations

import argparse

from dockless.cli._options import Commands, add_command, checked

_DESCRIPTION = """\
Run a registry for experiments and tests. Serves plain HTTP without authentication until interrupted.

The registry has no users, quotas or garbage collection: do not use it to store images.
"""
_EXAMPLE = "  dockless serve --listen 127.0.0.1:5000 --data /tmp/registry\n"


def add_to(commands: Commands) -> None:
    """Add the command `serve`."""
    parser = add_command(
        commands, "serve", "", "run a registry for experiments and tests", _DESCRIPTION, _EXAMPLE, connects=False
    )
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        default="127.0.0.1:5000",
        type=checked(_check_listen),
        help="HOST:PORT; port 0 selects a free port, which is printed (default: %(default)s)",
    )
    parser.add_argument(
        "--any-address",
        action="store_true",
        help="allow an address that other machines can reach, which could push, and requests of web pages",
    )
    parser.add_argument(
        "--data", metavar="DIR", help="directory of the content (default: in memory, lost when the registry stops)"
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        default="strict",
        type=checked(_check_profile),
        help="registry implementation to emulate, such as docker-registry (default: strict)",
    )
    parser.add_argument(
        "--faults", metavar="FILE", help="a JSON file of faults to inject; docs/testing.md describes the fields"
    )
    parser.set_defaults(run=run)


def _check_listen(text: str) -> object:
    from dockless.testing.serve import parse_address

    return parse_address(text)


def _check_profile(text: str) -> object:
    from dockless.testing.profiles import find_profile

    return find_profile(text)


def run(arguments: argparse.Namespace) -> int:
    """Serve a registry until a signal arrives."""
    from dockless.cli._output import print_json, print_line
    from dockless.testing import read_faults
    from dockless.testing.serve import serve

    def announce(url: str, storage: str) -> None:
        import sys

        if arguments.json:
            print_json({"url": url, "registry": url.partition("://")[2], "data": arguments.data})
        else:
            print_line(f"serving a registry on {url} ({storage}); press Ctrl-C to stop")
        sys.stdout.flush()

    return serve(
        arguments.listen,
        arguments.data,
        arguments.profile,
        faults=read_faults(arguments.faults) if arguments.faults else (),
        any_address=arguments.any_address,
        announce=announce,
    )
