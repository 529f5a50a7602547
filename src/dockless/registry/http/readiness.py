"""Whether a socket has something to read, or room to write."""

from __future__ import annotations

import select
from typing import Any


def can_read(sock: Any) -> bool:
    """Whether a read would not wait: for bytes, or for the end."""
    return bool(_ready(sock, select.POLLIN, 0.0))


def wait_for_either(sock: Any, seconds: float | None) -> tuple[bool, bool]:
    """Waits until something can be read, or sent, and says which. Neither when the time ran out."""
    found = _ready(sock, select.POLLIN | select.POLLOUT, seconds)
    return bool(found & ~select.POLLOUT), bool(found & select.POLLOUT)


def _ready(sock: Any, events: int, seconds: float | None) -> int:
    poll = select.poll()
    poll.register(sock, events)
    found = poll.poll(None if seconds is None else seconds * 1000)
    return found[0][1] if found else 0
