"""Progress of a transfer on stderr: bars on a terminal, a line per blob in a log, nothing when quiet."""

from __future__ import annotations

import argparse
import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any

from dockless._units import format_size
from dockless.cli._signals import stop

if TYPE_CHECKING:
    from dockless.registry.progress import Progress, ProgressEvent

_HOW = {"verified": "verified", "sent": "sent", "present": "already there", "mounted": "mounted"}


def progress_of(arguments: argparse.Namespace) -> Progress:
    """Who is to be told of a transfer's progress."""
    if arguments.quiet:
        return _check_stop
    if sys.stderr.isatty():
        try:
            tqdm = importlib.import_module("tqdm").tqdm
        except ImportError:
            return _line
        return _Bars(tqdm)
    return _line


def _check_stop(event: ProgressEvent) -> None:
    stop.check()


def _line(event: ProgressEvent) -> None:
    stop.check()
    if event.kind in _HOW:
        size = format_size(event.descriptor.size)
        _tell(f"{event.descriptor.digest} {_HOW[event.kind]} ({size})")
    elif event.kind == "tagged":
        _tell(f"{event.reference} is {event.descriptor.digest}")


def _tell(line: str) -> None:
    # In one piece: print() writes the end of the line by itself, and blobs are moved by several threads.
    sys.stderr.write(f"{line}\n")


class _Bars:
    """A bar for each blob that moves, gone when it is there."""

    def __init__(self, tqdm: Any) -> None:
        self._tqdm = tqdm
        self._lock = threading.Lock()
        self._bars: dict[str, Any] = {}

    def __call__(self, event: ProgressEvent) -> None:
        stop.check()
        blob = event.descriptor
        with self._lock:
            if event.kind == "bytes":
                if blob.digest not in self._bars:
                    self._bars[blob.digest] = self._tqdm(
                        desc=blob.digest[7:19], total=blob.size, unit="B", unit_scale=True, leave=False, file=sys.stderr
                    )
                self._bars[blob.digest].update(event.bytes)
            elif event.kind in _HOW:
                bar = self._bars.pop(blob.digest, None)
                if bar is not None:
                    bar.close()
