"""What commands print: a JSON object, or lines for people."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from dockless._units import format_size

if TYPE_CHECKING:
    from dockless.registry.push_result import PushResult


def print_json(document: dict[str, Any]) -> None:
    # ASCII: there are paths that no encoding of a terminal has.
    print(json.dumps(document, indent=2))


def print_saved(arguments: argparse.Namespace, pushed: PushResult, **more: Any) -> None:
    """The references that name the image now, each with its digest."""
    if arguments.json:
        print_json({**pushed._asdict(), **more})
        return
    for reference in pushed.references:
        print(reference if reference.endswith(f"@{pushed.digest}") else f"{reference}@{pushed.digest}")
    if not arguments.quiet:
        print(
            f"{pushed.blobs_sent} blobs sent ({format_size(pushed.bytes_sent)}), {pushed.blobs_mounted} mounted, "
            f"{pushed.blobs_present} already there",
            file=sys.stderr,
        )
