"""Output of commands: a JSON object or lines of text."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from dockless._units import format_size

if TYPE_CHECKING:
    from dockless.registry.push_result import PushResult


def print_json(document: dict[str, Any]) -> None:
    """Print the only output of a command with --json."""
    # ASCII, because a terminal's encoding may not have all characters of a path.
    print(json.dumps(document, indent=2))


def print_saved(arguments: argparse.Namespace, pushed: PushResult, **more: Any) -> None:
    """Print the references of a saved image, each with its digest; with --json, `more` too."""
    if arguments.json:
        print_json({**saved_document(pushed), **more})
        return
    print_references(pushed)
    if not arguments.quiet:
        print(
            f"{pushed.blobs_sent} blobs sent ({format_size(pushed.bytes_sent)}), {pushed.blobs_mounted} mounted, "
            f"{pushed.blobs_present} already present",
            file=sys.stderr,
        )


def print_references(pushed: PushResult) -> None:
    """Print the references of a saved image, each with its digest."""
    for reference in pushed.references:
        print(reference if reference.endswith(f"@{pushed.digest}") else f"{reference}@{pushed.digest}")


def saved_document(pushed: PushResult) -> dict[str, Any]:
    """Return the JSON object for a saved image."""
    return {
        "digest": pushed.digest,
        "references": pushed.references,
        "blobs_sent": pushed.blobs_sent,
        "bytes_sent": pushed.bytes_sent,
        "blobs_mounted": pushed.blobs_mounted,
        "blobs_present": pushed.blobs_present,
    }
