"""The log of requests."""

from __future__ import annotations

import dataclasses
from email.message import Message

from dockless.testing.message import Query


@dataclasses.dataclass
class RecordedRequest:
    """A request as it was received.

    `operation` is a noun and a method, such as "blob get". `listener` is the local port. `received` is the number of
    bytes of the body, and `body` the first 64 KiB of them. `status` is that of the response; 0: there was none.
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
