"""Progress of a transfer, as events. Callers show a progress bar, write a log, or ignore them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dockless.errors import InvalidValueError
from dockless.oci.descriptor import Descriptor


class ProgressEvent(NamedTuple):
    """`kind` is `began`, `bytes`, `retry`, `sent`, `written` (to a file on disk), `present`, `mounted` or `tagged`.

    `verify_image` reports `began`, `bytes`, and `verified` or `invalid`.

    bytes      for the kind `bytes`: bytes sent or written since the last event; negative if a part is repeated
    reference  for the kind `tagged`: the new reference to the image
    error      for the kind `retry`: the error that is followed by another attempt
    pause      for the kind `retry`: seconds until that attempt
    """

    kind: str
    descriptor: Descriptor
    bytes: int = 0
    reference: str = ""
    error: str = ""
    pause: float = 0.0


Progress = Callable[[ProgressEvent], None]


def check_progress(progress: Progress) -> Progress:
    """Return `progress` if it can be called. Raises InvalidValueError."""
    if not callable(progress):
        raise InvalidValueError(f"progress is {progress!r:.200}, not a function", hint="write a function of an event")
    return progress


def silent(event: ProgressEvent) -> None:
    """Ignore the event."""
