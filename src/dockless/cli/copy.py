"""`dockless copy`."""

from __future__ import annotations

import argparse

from dockless.cli._options import Commands, access_of, add_command, add_jobs, add_platform, platform_of

_DESCRIPTION = """\
Copy an image, byte for byte: push, pull, or copy between registries.

Blobs that the destination has are not sent; between repositories of one registry, layers are mounted. Tags are written
last, after everything that they refer to.
"""
_EXAMPLE = """\
  dockless copy ghcr.io/acme/app:1.2.3 registry.example.com/app --tag 1.2.3 --tag latest
  dockless copy docker.io/library/alpine:3.20 oci:alpine:3.20 --all-platforms
"""


def add_to(commands: Commands) -> None:
    """Add the command `copy`."""
    parser = add_command(
        commands,
        "copy",
        "SOURCE DESTINATION",
        "copy an image between registries, layouts and archives",
        _DESCRIPTION,
        _EXAMPLE,
    )
    parser.add_argument("source", metavar="SOURCE", help="the image to copy; see dockless --help")
    parser.add_argument("destination", metavar="DESTINATION", help="where to save the image; see dockless --help")
    parser.add_argument("--tag", metavar="TAG", action="append", default=[], help="add another tag (repeatable)")
    add_platform(parser)
    parser.add_argument("--all-platforms", action="store_true", help="copy an image index and all its images")
    add_jobs(parser)
    parser.add_argument("--force-upload", action="store_true", help="send blobs even if the destination has them")
    parser.add_argument(
        "--keep-foreign-layers",
        action="store_true",
        help="do not copy foreign layers (default: download them from the first of their URLs that works)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy an image as the arguments say, and print the references."""
    if arguments.platform and arguments.all_platforms:
        arguments.usage_error("--platform and --all-platforms cannot be combined")
    from dockless.cli._output import print_saved
    from dockless.cli._progress import progress_of
    from dockless.transfer.copy import copy_image

    with access_of(arguments) as access:
        pushed = copy_image(
            arguments.source,
            arguments.destination,
            access=access,
            tags=arguments.tag,
            platform=platform_of(arguments),
            all_platforms=arguments.all_platforms,
            force_upload=arguments.force_upload,
            keep_foreign_layers=arguments.keep_foreign_layers,
            progress=progress_of(arguments),
        )
    print_saved(arguments, pushed)
    return 0
