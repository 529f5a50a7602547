"""Options that several commands have, and what is made of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockless.oci.platform import Platform
    from dockless.transfer.registry_access import Access

Commands = Any


def add_command(
    commands: Commands, name: str, operands: str, help_text: str, description: str, example: str
) -> argparse.ArgumentParser:
    """A command with the options that all have, and `operands` in its usage."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        usage=f"dockless {name} [OPTION]... {operands}".rstrip(),
        help=help_text,
        description=description,
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(usage_error=parser.error)
    common = parser.add_argument_group("options of all commands")
    common.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    common.add_argument("--insecure", action="store_true", help="allow plain http, and TLS that cannot be verified")
    common.add_argument(
        "--insecure-registry", metavar="HOST", action="append", default=[], help="allow that for this registry alone"
    )
    common.add_argument("--ca-file", metavar="FILE", help="a PEM file of CAs to trust beside the usual ones")
    common.add_argument(
        "--auth-file", metavar="FILE", help="credentials to use, in the form of docker's and podman's files"
    )
    common.add_argument(
        "--explain-auth", action="store_true", help="say on stderr where credentials were looked for and found"
    )
    common.add_argument(
        "--retry-time",
        metavar="SECONDS",
        type=_seconds,
        help="go on for so long with what fails (default: 6 attempts, some 12 s)",
    )
    common.add_argument("-q", "--quiet", action="store_true", help="no progress, only results and errors")
    common.add_argument("-v", "--verbose", action="store_true", help="log what is asked of registries")
    common.add_argument("--debug", action="store_true", help="show a traceback when something fails")
    return parser


def add_platform(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--platform", metavar="OS/ARCH", help="of a multi-platform image, the one for this (default: linux/amd64)"
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", metavar="N", type=int, default=4, help="most requests at a time (default: 4)")


def platform_of(arguments: argparse.Namespace) -> Platform | None:
    """The platform asked for. Raises InvalidValueError."""
    from dockless.oci.platform import Platform

    return Platform.parse(arguments.platform) if arguments.platform else None


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1
    if not 0 <= found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return found


class _Explained:
    """An Access that says at its end where credentials came from, be it after a failure."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from dockless.transfer.registry_access import Access

        retry, patience = None, arguments.retry_time
        if patience is not None:
            from dockless.registry.retry import RetryPolicy

            # So many attempts that the time is what ends them.
            retry = RetryPolicy(attempts=1_000_000, budget=patience)
        self._explain = arguments.explain_auth
        self._access = Access(
            insecure=arguments.insecure or arguments.insecure_registry,
            ca_file=arguments.ca_file,
            auth_file=arguments.auth_file,
            jobs=getattr(arguments, "jobs", 4),
            retry=retry,
        )

    def __enter__(self) -> Access:
        return self._access.__enter__()

    def __exit__(self, *error: object) -> None:
        try:
            if self._explain:
                import sys

                for line in self._access.explain():
                    print(line, file=sys.stderr)
        finally:
            self._access.__exit__(*error)


def access_of(arguments: argparse.Namespace) -> _Explained:
    """How registries are reached, as the options say; a context manager."""
    return _Explained(arguments)
