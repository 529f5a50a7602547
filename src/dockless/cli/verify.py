"""`dockless verify`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from dockless.cli._options import Commands, access_of, add_command, add_jobs, add_platform, platform_of

if TYPE_CHECKING:
    from dockless.transfer.verify import VerifyResult

_DESCRIPTION = """\
Read an image completely and verify it: sizes and digests of all blobs, layers against their diff IDs, the structure of
the layers' tars, and the rules of the image specification. All platforms of an image index are verified, and all images
of a layout or archive unless SOURCE names one.

Each problem is a line on stdout; of more than 20 of one kind, the others are counted. The exit status is then 1.
"""
_EXAMPLE = "  dockless verify oci:build/app\n"


def add_to(commands: Commands) -> None:
    """Add the command `verify`."""
    parser = add_command(commands, "verify", "SOURCE", "verify every byte of an image", _DESCRIPTION, _EXAMPLE)
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="the image to verify, such as ghcr.io/acme/app:1.2.3 or oci:DIR; see dockless --help",
    )
    add_platform(parser, "verify only the image for this platform")
    add_jobs(parser, "maximum layers that are verified concurrently (default: 4)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Verify an image and print its problems. The exit status is 1 if there are any."""
    from dockless._units import format_count, format_size
    from dockless.cli._output import print_json, print_line
    from dockless.cli._progress import progress_of
    from dockless.transfer.locations import to_location
    from dockless.transfer.verify import verify_image

    with access_of(arguments) as access:
        result = verify_image(
            to_location(arguments.source),
            access=access,
            platform=platform_of(arguments),
            progress=progress_of(arguments),
        )
    if arguments.json:
        print_json(
            {
                "source": arguments.source,
                "digests": result.digests,
                "manifests": result.manifests,
                "blobs": result.blobs,
                "bytes": result.bytes,
                "foreign": result.foreign,
                "unsupported": result.unsupported,
                "problems": result.problems,
                "problem_count": result.problem_count,
            }
        )
    else:
        for problem in result.problems:
            print_line(problem)
        if not arguments.quiet:
            counts = f"{format_count(result.manifests, 'manifest')}, {format_count(result.blobs, 'blob')}"
            skipped = [
                format_count(len(digests), label)
                for digests, label in (
                    (result.foreign, "foreign layer"),
                    (result.unsupported, "unsupported manifest"),
                )
                if digests
            ]
            note = f"; not verified: {', '.join(skipped)}" if skipped else ""
            print_line(f"{_count(result)} found in {counts}, {format_size(result.bytes)}{note}", sys.stderr)
    if result.problems:
        print_line(f"dockless: error: {arguments.source} is not valid: {_count(result)} found", sys.stderr)
    return 1 if result.problems else 0


def _count(result: VerifyResult) -> str:
    from dockless._units import format_count

    if not result.problem_count:
        return "no problems"
    return format_count(result.problem_count, "problem")
