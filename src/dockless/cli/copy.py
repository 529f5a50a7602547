"""`dockless copy`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from dockless.cli._options import Commands, access_of, add_command, add_jobs, add_platform, platform_of

if TYPE_CHECKING:
    from dockless.registry.push_result import PushResult
    from dockless.transfer.registry_access import RegistryAccess

_DESCRIPTION = """\
Copy images, byte for byte: push, pull, or copy between registries.

Blobs that the destination has are not sent; between repositories of one registry, layers are mounted (used in
place, without a transfer). Tags are written last, after everything that they refer to.

Several images are copied concurrently, with one connection pool for each registry. A blob that several images have is
sent to a registry once. The failure of one image does not stop the others; the exit status is then 1.
"""
_EXAMPLE = """\
  dockless copy ghcr.io/acme/app:1.2.3 registry.example.com/app --tag 1.2.3 --tag latest
  dockless copy docker.io/library/alpine:3.20 oci:alpine:3.20 --all-platforms
  dockless copy docker-archive:app.tar ghcr.io/acme/app:1.2.3
  xargs dockless copy <images.txt        # a source and a destination in each line
"""


def add_to(commands: Commands) -> None:
    """Add the command `copy`."""
    parser = add_command(
        commands,
        "copy",
        "SOURCE DESTINATION [SOURCE DESTINATION]...",
        "copy images between registries, layouts and archives",
        _DESCRIPTION,
        _EXAMPLE,
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="the image to copy, such as alpine:3.20, ghcr.io/acme/app:1.2.3 or oci:DIR; see dockless --help",
    )
    parser.add_argument(
        "destination",
        metavar="DESTINATION",
        help="where to save the image, such as ghcr.io/acme/app:1.2.3 or oci:DIR; see dockless --help",
    )
    parser.add_argument("more", metavar="SOURCE DESTINATION", nargs="*", default=[], help="further images to copy")
    parser.add_argument("--tag", metavar="TAG", action="append", default=[], help="add another tag (repeatable)")
    add_platform(parser)
    parser.add_argument("--all-platforms", action="store_true", help="copy an image index and all its images")
    add_jobs(parser)
    parser.add_argument("--force-upload", action="store_true", help="send blobs even if the destination has them")
    parser.add_argument(
        "--keep-foreign-layers",
        action="store_true",
        help="do not copy foreign layers, which registries do not distribute, such as those of Windows (default: "
        "download them from the first of their URLs that works)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Copy images as the arguments say, and print the references."""
    if arguments.platform and arguments.all_platforms:
        arguments.usage_error("--platform and --all-platforms cannot be combined")
    if len(arguments.more) % 2:
        arguments.usage_error(f"the source {arguments.more[-1]} has no destination")
    if arguments.more:
        return _copy_all(arguments)
    from dockless.cli._output import print_saved

    with access_of(arguments) as access:
        pushed = _copier(arguments, access)(arguments.source, arguments.destination)
    print_saved(arguments, pushed)
    return 0


def _copier(arguments: argparse.Namespace, access: RegistryAccess) -> Callable[[str, str], PushResult]:
    """Return the function that copies one image as the arguments say."""
    from functools import partial

    from dockless.cli._progress import progress_of
    from dockless.transfer.copy import copy_image

    return partial(
        copy_image,
        access=access,
        tags=arguments.tag,
        platform=platform_of(arguments),
        all_platforms=arguments.all_platforms,
        force_upload=arguments.force_upload,
        keep_foreign_layers=arguments.keep_foreign_layers,
        progress=progress_of(arguments),
    )


def _copy_all(arguments: argparse.Namespace) -> int:
    """Copy several images. The exit status is 1 if one of them cannot be copied."""
    import sys
    from functools import partial

    from dockless._units import format_count
    from dockless.cli._output import print_json, print_line, print_references, saved_document
    from dockless.transfer.batch import Outcome, Transfer, run_transfers
    from dockless.transfer.copy import check_destinations, registries_of

    operands = [arguments.source, arguments.destination, *arguments.more]
    pairs = list(zip(operands[::2], operands[1::2]))
    check_destinations([destination for _, destination in pairs], arguments.tag)

    def report(index: int, outcome: Outcome[PushResult]) -> None:
        if outcome.error is not None:
            source, destination = pairs[index]
            print_line(f"dockless: error: {source} to {destination}: {outcome.error}", sys.stderr)
        elif outcome.result is not None and not arguments.json:
            print_references(outcome.result)

    with access_of(arguments) as access:
        copy = _copier(arguments, access)
        outcomes = run_transfers(
            [Transfer(partial(copy, *pair), registries_of(*pair)) for pair in pairs], access, on_outcome=report
        )
    failed = sum(outcome.error is not None for outcome in outcomes)
    if arguments.json:
        images = []
        for (source, destination), outcome in zip(pairs, outcomes):
            document = {"error": str(outcome.error)} if outcome.result is None else saved_document(outcome.result)
            images.append({"source": source, "destination": destination, **document})
        print_json({"images": images})
    elif not arguments.quiet:
        print_line(f"{len(pairs) - failed} of {format_count(len(pairs), 'image')} copied", sys.stderr)
    return 1 if failed else 0
