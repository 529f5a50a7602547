"""`dockless verify`."""

from __future__ import annotations

import argparse
import sys

from dockless.cli._options import Commands, access_of, add_command, add_jobs, platform_of

_DESCRIPTION = """\
Reads all of an image and checks it: sizes and digests of every blob, what is inside of layers against the diff ids,
the layers' tars, and the image specification's rules. Every platform of an index, every image of a layout or archive
unless one is named.

Each thing that is wrong is a line on stdout; then the exit status is 1.
"""
_EXAMPLE = "  dockless verify oci:build/app\n"


def add_to(commands: Commands) -> None:
    parser = add_command(commands, "verify", "SOURCE", "check every byte of an image", _DESCRIPTION, _EXAMPLE)
    parser.add_argument("source", metavar="SOURCE", help="where it is: see dockless --help")
    parser.add_argument("--platform", metavar="OS/ARCH", help="check only the image for this")
    add_jobs(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from dockless._units import format_size
    from dockless.cli._output import print_json
    from dockless.cli._progress import progress_of
    from dockless.transfer.locations import Location
    from dockless.transfer.verify import verify_image

    with access_of(arguments) as access:
        found = verify_image(
            Location.parse(arguments.source),
            access=access,
            platform=platform_of(arguments),
            progress=progress_of(arguments),
        )
    if arguments.json:
        print_json({"source": arguments.source, **found._asdict()})
    else:
        for line in found.wrong:
            print(line)
        if not arguments.quiet:
            looked = f"{found.manifests} manifests, {found.blobs} blobs, {format_size(found.bytes)}"
            left = f"; {len(found.elsewhere)} foreign layers are elsewhere" if found.elsewhere else ""
            print(f"{len(found.wrong) or 'nothing'} wrong in {looked}{left}", file=sys.stderr)
    if found.wrong:
        count = "1 thing is" if len(found.wrong) == 1 else f"{len(found.wrong)} things are"
        print(f"dockless: error: {arguments.source} is damaged: {count} wrong", file=sys.stderr)
    return 1 if found.wrong else 0
