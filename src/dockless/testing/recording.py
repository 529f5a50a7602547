"""The log of requests that tests ask."""

from __future__ import annotations

import dataclasses
from email.message import Message

from dockless.testing.message import Query


@dataclasses.dataclass
class RecordedRequest:
    """One request, as it came.

    `operation`: noun and method, "blob get". `listener`: the port it came to. `received`: the bytes of its body that
    came; `body`: the first 64 KiB of them. `status`: what was answered, 0 when nothing was.
    """

    method: str
    path: str
    query: Query
    headers: Message
    operation: str
    repository: str
    reference: str
    listener: int
    received: int = 0
    body: bytes = b""
    status: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}"
