"""Output of commands: a JSON object or lines of text. No other module of the command writes to stdout or stderr."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

from dockless._printable import printable, printable_json, traceback_lines
from dockless._units import format_count, format_size

if TYPE_CHECKING:
    from dockless.registry.push_result import PushResult


def print_line(text: str, file: TextIO | None = None) -> None:
    """Print `text` as one line to stdout or `file`, with the escapes of `printable`."""
    # One write: print() writes the line end separately, and several threads transfer blobs.
    (sys.stdout if file is None else file).write(f"{printable(text, None)}\n")


def print_traceback(error: BaseException) -> None:
    """Print the traceback of `error` to stderr."""
    for line in traceback_lines(error):
        print_line(line, sys.stderr)


def print_json(document: dict[str, Any]) -> None:
    """Print the only output of a command with --json."""
    sys.stdout.write(f"{printable_json(document)}\n")


def print_document(data: bytes) -> None:
    """Print a JSON document byte for byte; on a terminal, with JSON escapes for characters that it may act on."""
    if sys.stdout.isatty():
        text = data.decode("utf-8", "backslashreplace")
        sys.stdout.write("".join(c if c.isprintable() or c in "\n\t" else printable_json(c)[1:-1] for c in text))
    else:
        sys.stdout.buffer.write(data)


class LogFormatter(logging.Formatter):
    """A formatter whose records are one line each, with the escapes of `printable`, before the traceback if any."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the base class
        """Return the line of a record."""
        return printable(super().formatMessage(record), None)

    def formatException(self, exc_info: Any) -> str:  # noqa: N802 - the name of the base class
        """Return the lines of a traceback."""
        return "\n".join(traceback_lines(exc_info[1]))


def _summary(pushed: PushResult) -> str:
    """Return the counts of a saved image as text."""
    blobs, size = format_count(pushed.blobs_sent, "blob"), format_size(pushed.bytes_sent)
    if all(reference.startswith(("oci:", "oci-archive:", "docker-archive:")) for reference in pushed.references):
        return f"{blobs} written ({size})"
    return f"{blobs} sent ({size}), {pushed.blobs_mounted} mounted, {pushed.blobs_present} already present"


def print_saved(arguments: argparse.Namespace, pushed: PushResult, **more: Any) -> None:
    """Print the references of a saved image, each with its digest; with --json, `more` too."""
    if arguments.json:
        print_json({**saved_document(pushed), **more})
        return
    print_references(pushed)
    if not arguments.quiet:
        print_line(_summary(pushed), sys.stderr)


def print_references(pushed: PushResult) -> None:
    """Print the references of a saved image, each with its digest."""
    for reference in pushed.references:
        print_line(reference if reference.endswith(f"@{pushed.digest}") else f"{reference}@{pushed.digest}")


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
