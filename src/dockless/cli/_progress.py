"""Progress of a transfer on stderr: bars on a terminal, a line for each blob in a log, nothing with --quiet."""

from __future__ import annotations

import argparse
import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any

from dockless._units import format_size
from dockless.cli._output import print_line
from dockless.cli._signals import interrupt

if TYPE_CHECKING:
    from dockless.registry.progress import Progress, ProgressEvent

# Events that end a blob, and their texts.
_ENDS = {
    "verified": "verified",
    "invalid": "is not valid",
    "sent": "sent",
    "written": "written",
    "present": "already present",
    "mounted": "mounted",
}


def progress_of(arguments: argparse.Namespace) -> Progress:
    """Return the function that shows the progress of a transfer."""
    if arguments.quiet:
        return _check_interrupt
    if sys.stderr.isatty():
        try:
            tqdm = importlib.import_module("tqdm").tqdm
        except ImportError:
            return _print_event
        return _Bars(tqdm)
    return _print_event


def _check_interrupt(event: ProgressEvent) -> None:
    interrupt.check()


def _print_event(event: ProgressEvent) -> None:
    interrupt.check()
    if event.kind in _ENDS:
        size = format_size(event.descriptor.size)
        print_line(f"{event.descriptor.digest} {_ENDS[event.kind]} ({size})", sys.stderr)
    elif event.kind == "tagged":
        print_line(f"{event.reference} is {event.descriptor.digest}", sys.stderr)


class _Bars:
    """A bar for each blob in transfer, removed at its end."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._lock = threading.Lock()
        self._bars: dict[str, Any] = {}

    def __call__(self, event: ProgressEvent) -> None:
        interrupt.check()
        blob = event.descriptor
        with self._lock:
            if event.kind == "bytes":
                if blob.digest not in self._bars:
                    self._bars[blob.digest] = self._tqdm(
                        desc=blob.digest[7:19], total=blob.size, unit="B", unit_scale=True, leave=False, file=sys.stderr
                    )
                self._bars[blob.digest].update(event.bytes)
            elif event.kind in _ENDS:
                bar = self._bars.pop(blob.digest, None)
                if bar is not None:
                    bar.close()
