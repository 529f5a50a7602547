"""What happens during a push, told as it happens: a bar, a log or nothing is made of it elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dockless.descriptor import Descriptor


class ProgressEvent(NamedTuple):
    """`kind` is `began`, `bytes`, `sent`, `present`, `mounted` or `tagged`; `bytes` are those since the last event."""

    kind: str
    descriptor: Descriptor
    bytes: int = 0
    reference: str = ""


Progress = Callable[[ProgressEvent], None]


def silent(event: ProgressEvent) -> None:
    """Tells nobody."""
