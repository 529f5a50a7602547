"""Shows the progress of a push of several images on stderr: one line that is updated on a terminal, or a line at times.

Pants runs this program with `-I -S`: no package for progress bars can be imported.
"""

import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockless.registry.progress import ProgressEvent

# Seconds between two updates on a terminal, and between two lines in a log.
_INTERVALS = {True: 0.2, False: 10.0}
_ERASE_LINE = "\r\x1b[K"


class PushProgress:
    """The progress of a push of `images` images, with `size` bytes to send. Nothing is shown for 0 images."""

    def __init__(self, images: int, size: int) -> None:
        self._images = images
        self._size = size
        self._ended = 0
        self._sent = 0
        self._is_terminal = sys.stderr.isatty()
        self._next = time.monotonic() + _INTERVALS[self._is_terminal]
        self._shown = False
        self._lock = threading.Lock()

    def __enter__(self) -> "PushProgress":
        return self

    def __exit__(self, *_: object) -> None:
        self._erase()

    def __call__(self, event: "ProgressEvent") -> None:
        """Count and show the bytes of an event."""
        if event.kind == "bytes" and self._images:
            with self._lock:
                self._sent += event.bytes
                self._show()

    def ended(self) -> None:
        """Count an image that was pushed, or could not be."""
        with self._lock:
            self._ended += 1
            self._erase()

    def _show(self) -> None:
        if time.monotonic() < self._next:
            return
        from dockless._units import format_count, format_size

        self._next = time.monotonic() + _INTERVALS[self._is_terminal]
        sent = f"{format_size(max(0, self._sent))} of {format_size(self._size)} sent"
        line = f"{self._ended} of {format_count(self._images, 'image')} pushed, {sent}"
        sys.stderr.write(f"{_ERASE_LINE}{line}" if self._is_terminal else f"{line}\n")
        sys.stderr.flush()
        self._shown = self._is_terminal

    def _erase(self) -> None:
        if self._shown:
            self._shown = False
            sys.stderr.write(_ERASE_LINE)
            sys.stderr.flush()
