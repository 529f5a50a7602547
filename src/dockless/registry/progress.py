"""What happens during a push, told as it happens: a bar, a log or nothing is made of it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dockless.oci.descriptor import Descriptor


class ProgressEvent(NamedTuple):
    """`kind` is `began`, `bytes`, `retry`, `sent`, `present`, `mounted` or `tagged`.

    bytes      of `bytes`: those that are there since the last event; fewer than none where a part is sent again
    reference  of `tagged`: what names the image now
    error      of `retry`: what went wrong
    pause      of `retry`: seconds until the next attempt
    """

    kind: str
    descriptor: Descriptor
    bytes: int = 0
    reference: str = ""
    error: str = ""
    pause: float = 0.0


Progress = Callable[[ProgressEvent], None]


def silent(event: ProgressEvent) -> None:
    """Tells nobody."""
