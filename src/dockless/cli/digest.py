"""`dockless digest`."""

from __future__ import annotations

import argparse

from dockless.cli._options import Commands, access_of, add_command, add_platform, platform_of

_DESCRIPTION = """\
Print the digest of an image, such as sha256:2d7c..., which always names this image, while a tag can be moved.

For a multi-platform image, this is the digest of the index; with --platform, that of one of its images. Only the
manifest is read, and the digest is computed from its bytes.
"""
_EXAMPLE = """\
  dockless digest docker.io/library/alpine:3.20
  dockless build ghcr.io/acme/app --base "docker.io/library/alpine@$(dockless digest alpine:3.20)" --add ./src:/app
"""


def add_to(commands: Commands) -> None:
    """Add the command `digest`."""
    parser = add_command(commands, "digest", "SOURCE", "print the digest of an image", _DESCRIPTION, _EXAMPLE)
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="the image, such as alpine:3.20, ghcr.io/acme/app:1.2.3 or oci:DIR; see dockless --help",
    )
    add_platform(parser, "the platform to select from an image index")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the digest of an image."""
    from dockless.cli._output import print_json, print_line
    from dockless.transfer.locations import to_location
    from dockless.transfer.open import open_image, select_manifest

    platform = platform_of(arguments)
    with access_of(arguments) as access, open_image(to_location(arguments.source), access) as opened:
        root = opened.root if platform is None else select_manifest(opened, platform)
    if arguments.json:
        print_json({"source": arguments.source, "digest": root.digest, "media_type": root.media_type})
    else:
        print_line(root.digest)
    return 0
