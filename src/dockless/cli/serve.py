"""`dockless serve`."""

from __future__ import annotations

import argparse
import signal
import sys

from dockless.cli.options import Commands, add_command

_DESCRIPTION = """\
Serves a registry, for trying things out and for tests: anonymous, plain http. Until Ctrl-C.

It is no place to keep images: there is no user, no quota and no garbage collection.
"""
_EXAMPLE = "  dockless serve --listen 127.0.0.1:5000 --data /tmp/registry\n"


def add_to(commands: Commands) -> None:
    parser = add_command(commands, "serve", "serve a registry for trying things out", _DESCRIPTION, _EXAMPLE)
    parser.add_argument(
        "--listen",
        metavar="ADDR",
        default="127.0.0.1:5000",
        help="host:port; port 0 takes a free one (default: %(default)s)",
    )
    parser.add_argument("--data", metavar="DIR", help="where content is kept (default: in memory, gone at the end)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from dockless.cli.output import print_json
    from dockless.errors import InvalidValue, RegistryError
    from dockless.testing import Registry

    host, colon, port = arguments.listen.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise InvalidValue(f"cannot listen on {arguments.listen!r}", hint="write host:port, such as 127.0.0.1:5000")
    registry = Registry(arguments.data or "memory", address=host.strip("[]") or "127.0.0.1", port=int(port))
    try:
        registry.start()
    except OSError as error:
        raise RegistryError(f"cannot listen on {arguments.listen}", cause=error.strerror or str(error)) from error
    try:
        if arguments.json:
            print_json({"registry": registry.host, "data": arguments.data})
        else:
            print(registry.host)
        sys.stdout.flush()
        if not arguments.quiet:
            print(f"Push to {registry.host}/NAME. Ctrl-C ends.", file=sys.stderr)
        while True:
            signal.pause()
    finally:
        registry.stop()
