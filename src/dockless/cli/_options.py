"""Options that several commands have."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dockless.oci.platform import Platform
    from dockless.transfer.registry_access import RegistryAccess

Commands = Any
_FIELD = re.compile(r"`[a-z_]+`: ")


def add_command(
    commands: Commands,
    name: str,
    operands: str,
    help_text: str,
    description: str,
    example: str,
    *,
    connects: bool = True,
) -> argparse.ArgumentParser:
    """Add a command with the common options; those for registries if it `connects` to them.

    `operands` is the end of its usage line.
    """
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
    common = parser.add_argument_group("common options")
    common.add_argument("--json", action="store_true", help="print one JSON object to stdout")
    if connects:
        _add_registry_options(common)
    common.add_argument("-q", "--quiet", action="store_true", help="print only results and errors, no progress")
    if connects:
        common.add_argument("-v", "--verbose", action="store_true", help="log requests to registries")
    else:
        parser.set_defaults(verbose=False)
    common.add_argument("--debug", action="store_true", help="print a traceback for an error")
    return parser


def _add_registry_options(common: Any) -> None:
    common.add_argument(
        "--insecure",
        action="store_true",
        help="allow plain HTTP and unverified TLS certificates for all registries except Docker Hub",
    )
    common.add_argument(
        "--insecure-registry",
        metavar="HOST",
        action="append",
        default=[],
        help="allow plain HTTP and unverified TLS certificates for this registry only, or an unverified TLS certificate"
        " for this token server; foreign layers are downloaded from this host even at a private address (repeatable)",
    )
    common.add_argument("--ca-file", metavar="FILE", help="a PEM file of CAs to trust, in addition to the usual ones")
    common.add_argument(
        "--auth-file", metavar="FILE", help="a Docker or Podman config file with the credentials to use"
    )
    common.add_argument(
        "--explain-auth", action="store_true", help="print to stderr where credentials were searched and found"
    )
    common.add_argument(
        "--retry-time",
        metavar="SECONDS",
        type=_seconds,
        help="give up after this time without progress (default: 6 attempts, about 12 s of pauses)",
    )


def add_platform(
    parser: Any, help_text: str = "the platform to select from an image index (default: the only one, or linux/amd64)"
) -> None:
    """Add `--platform`. Its value is a text that Platform.parse accepts."""
    parser.add_argument("--platform", metavar="OS/ARCH", type=checked(_check_platform), help=help_text)


def _check_platform(text: str) -> object:
    from dockless.oci.platform import Platform

    return Platform.parse(text)


def checked(check: Callable[[str], object]) -> Callable[[str], str]:
    """Return the type of an option whose values `check` accepts. A DocklessError of `check` is a usage error."""

    def convert(text: str) -> str:
        from dockless.errors import DocklessError

        try:
            check(text)
        except DocklessError as error:
            # The parser writes the name of the option instead of the name of the field.
            raise argparse.ArgumentTypeError(_FIELD.sub("", str(error))) from None
        return text

    return convert


def add_jobs(
    parser: argparse.ArgumentParser, help_text: str = "maximum concurrent requests to each registry (default: 4)"
) -> None:
    parser.add_argument("--jobs", metavar="N", type=_jobs, default=4, help=help_text)


def _jobs(text: str) -> int:
    from dockless._concurrency import check_jobs
    from dockless.errors import InvalidValueError

    try:
        return check_jobs(int(text))
    except (InvalidValueError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 64") from None


def platform_of(arguments: argparse.Namespace) -> Platform | None:
    """Return the platform of `--platform`. Raises InvalidValueError."""
    from dockless.oci.platform import Platform

    return Platform.parse(arguments.platform) if arguments.platform else None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


class _ExplainedAccess:
    """A RegistryAccess that prints the sources of credentials at its end, also after an error."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        from dockless.transfer.registry_access import RegistryAccess

        retry = None
        if arguments.retry_time is not None:
            from dockless.registry.retry import RetryPolicy

            # Attempts are not limited: the time ends the retries.
            retry = RetryPolicy(attempts=1_000_000, attempts_to_connect=1_000_000, budget=arguments.retry_time)
        self._explain = arguments.explain_auth
        self._access = RegistryAccess(
            insecure=arguments.insecure or arguments.insecure_registry,
            insecure_hosts=arguments.insecure_registry,
            ca_file=arguments.ca_file,
            auth_file=arguments.auth_file,
            jobs=getattr(arguments, "jobs", 4),
            retry=retry,
        )

    def __enter__(self) -> RegistryAccess:
        return self._access.__enter__()

    def __exit__(self, *error: object) -> None:
        try:
            if self._explain:
                import sys

                from dockless.cli._output import print_line

                for line in self._access.explain():
                    print_line(line, sys.stderr)
        finally:
            self._access.__exit__(*error)


def access_of(arguments: argparse.Namespace) -> _ExplainedAccess:
    """Return a context manager of the registry access that the options describe."""
    return _ExplainedAccess(arguments)
