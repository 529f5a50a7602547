"""Requests, their bodies, and responses."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from email.message import Message
from typing import Any, BinaryIO, NamedTuple, Protocol
from urllib.parse import parse_qsl

CHUNK = 1024 * 1024
_NUMBER = re.compile(r"[0-9]{1,18}\Z")


class BrokenBodyError(ConnectionError):
    """The client or a fault closed the connection before the end of a request body."""


class Body(Protocol):
    """The body of a request, read as it arrives."""

    def read(self, size: int = CHUNK) -> bytes:
        """Return at most `size` bytes; b"" at the end. Raises BrokenBodyError."""
        ...


class Query(NamedTuple):
    """The query parameters, in order; a name may occur several times."""

    pairs: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str) -> Query:
        """Parse the query of a URL."""
        return cls(tuple(parse_qsl(text, keep_blank_values=True)))

    def get(self, name: str) -> str | None:
        """Return the first value of a parameter, or None."""
        return next((value for key, value in self.pairs if key == name), None)

    def all(self, name: str) -> list[str]:
        """Return all values of a parameter."""
        return [value for key, value in self.pairs if key == name]


class Request(NamedTuple):
    """A request.

    `target` is the path and query as received, `path` is decoded, and `origin` is the `http://HOST:PORT` with which the
    client addressed this registry.
    """

    method: str
    target: str
    path: str
    query: Query
    headers: Message
    origin: str
    body: Body

    def header(self, name: str) -> str:
        """Return a header's value; "" if there is none, several joined by commas (RFC 9110, 5.3)."""
        return ", ".join(self.headers.get_all(name, []))

    @property
    def content_length(self) -> int | None:
        """The number in Content-Length, or None."""
        return parse_number(self.header("Content-Length"))

    def read_all(self, limit: int) -> bytes | None:
        """Return the whole body, or None if it has more than `limit` bytes. Raises BrokenBodyError."""
        found = io.BytesIO()
        for piece in pieces(self.body):
            found.write(piece)
            if found.tell() > limit:
                return None
        return found.getvalue()


class Response(NamedTuple):
    """A response. `content` is the body, or a file at the position of the body; `length` bytes of it are sent."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    content: bytes | BinaryIO = b""
    length: int = 0

    @classmethod
    def make(cls, status: int, headers: dict[str, str] | None = None, body: bytes = b"") -> Response:
        """Return a response whose body is in memory."""
        return cls(status, tuple((headers or {}).items()), body, len(body))

    @classmethod
    def of_json(cls, status: int, document: Any, headers: dict[str, str] | None = None) -> Response:
        """Return a response with a JSON document."""
        body = json.dumps(document, separators=(",", ":")).encode() + b"\n"
        return cls.make(status, {"Content-Type": "application/json; charset=utf-8", **(headers or {})}, body)

    def header(self, name: str) -> str:
        """Return the values of a header, joined by commas."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    def close(self) -> None:
        """Close the body, if it is a file."""
        if not isinstance(self.content, bytes):
            self.content.close()


class ApiError(Exception):
    """An error response of the distribution spec ("Error Codes")."""

    def __init__(
        self, status: int, code: str, message: str, *, detail: Any = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
        self.headers = headers

    def response(self) -> Response:
        """Return the response with this error."""
        error = {"code": self.code, "message": self.message}
        if self.detail is not None:
            error["detail"] = self.detail
        return Response.of_json(self.status, {"errors": [error]}, self.headers)


def parse_number(text: str) -> int | None:
    """Return an unsigned number of at most 18 digits, else None. `isdigit` and `int` accept much more."""
    return int(text) if _NUMBER.match(text) else None


def pieces(body: Body | BinaryIO) -> Iterator[bytes]:
    """Yield `body` in chunks of at most 1 MiB. Raises BrokenBodyError."""
    while piece := body.read(CHUNK):
        yield piece
