"""Whether a socket has something to read, or room to write."""

from __future__ import annotations

import select
from typing import Any


def can_read(sock: Any) -> bool:
    """Whether a read would not wait: for bytes, or for the end."""
    return _ready(sock, select.POLLIN, 0.0)


def wait_for_room(sock: Any, seconds: float | None) -> bool:
    """Waits until something can be sent. False when the time ran out."""
    return _ready(sock, select.POLLOUT, seconds)


def _ready(sock: Any, event: int, seconds: float | None) -> bool:
    poll = select.poll()
    poll.register(sock, event)
    return bool(poll.poll(None if seconds is None else seconds * 1000))
