"""`dockless copy`."""

from __future__ import annotations

import argparse

from dockless.cli._options import Commands, access_of, add_command, add_jobs, add_platform, platform_of

_DESCRIPTION = """\
Copies an image, byte for byte: push, pull, and registry to registry.

What the destination has is not sent; between repositories of one registry layers are mounted. Tags move last, when all
that they name is there.
"""
_EXAMPLE = """\
  dockless copy ghcr.io/acme/app:1.2.3 registry.example.com/app --tag 1.2.3 --tag latest
  dockless copy docker.io/library/alpine:3.20 oci:alpine:3.20 --all-platforms
"""


def add_to(commands: Commands) -> None:
    parser = add_command(
        commands, "copy", "SOURCE DESTINATION", "copy an image from anywhere to anywhere", _DESCRIPTION, _EXAMPLE
    )
    parser.add_argument("source", metavar="SOURCE", help="where it is: see dockless --help")
    parser.add_argument("destination", metavar="DESTINATION", help="where to save it: see dockless --help")
    parser.add_argument("--tag", metavar="TAG", action="append", default=[], help="name it so, too (repeatable)")
    add_platform(parser)
    parser.add_argument("--all-platforms", action="store_true", help="copy the index and all images that it lists")
    add_jobs(parser)
    parser.add_argument("--force-upload", action="store_true", help="send blobs even if they are there")
    parser.add_argument(
        "--keep-foreign-layers",
        action="store_true",
        help="leave layers with urls where they are (default: copied, from the first url that works)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.platform and arguments.all_platforms:
        arguments.usage_error("--platform and --all-platforms exclude each other")
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
