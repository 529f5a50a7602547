"""A server whose responses an attacker writes, byte by byte, and which records everything that it receives."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Callable, NamedTuple, Optional

from raw_server import raw_server

# What a hostile server may send when a client reads without end: more than any limit.
ENDLESS = 64 << 20
_TLS_HANDSHAKE = b"\x16"


class Received(NamedTuple):
    """A request; the names of its headers are in lower case."""

    method: str
    target: str
    headers: dict
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Hostile:
    """`host` is host:port, `requests` are all requests so far, `sent` the number of bytes of `send_endlessly`."""

    def __init__(self) -> None:
        self.host = ""
        self.requests: list[Received] = []
        self.sent = 0
        # The client certificate of each TLS connection, or None.
        self.certificates: list = []
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def authorizations(self) -> list[str]:
        """The credentials that the server received, in any header."""
        names = ("authorization", "proxy-authorization", "cookie")
        return [request.headers[name] for request in self.requests for name in names if name in request.headers]

    def asked(self, *methods: str) -> list[str]:
        """The methods and paths of all requests, or of those with one of `methods`."""
        return [f"{r.method} {r.path}" for r in self.requests if r.method in methods or not methods]

    def send_endlessly(self, connection: socket.socket, piece: bytes) -> None:
        """Send `piece` until the client closes the connection, at most `ENDLESS` bytes."""
        while self.sent < ENDLESS:
            connection.sendall(piece)
            self.sent += len(piece)


# Returns the bytes of a response; None if it has sent them, and the connection ends.
Answer = Callable[[Received, socket.socket], Optional[bytes]]


@contextlib.contextmanager
def hostile_server(answer: Answer, tls: Optional[ssl.SSLContext] = None) -> Iterator[Hostile]:
    """Answers each request with `answer(request, connection)`."""
    server = Hostile()
    server.scheme = "https" if tls else "http"

    def serve(connection: socket.socket) -> None:
        if tls is not None:
            with tls.wrap_socket(connection, server_side=True) as secure:
                server.certificates.append(secure.getpeercert())
                serve_plain(secure)
        elif connection.recv(1, socket.MSG_PEEK) == _TLS_HANDSHAKE:
            # As servers of plain HTTP answer TLS.
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        else:
            serve_plain(connection)

    def serve_plain(connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            while line := reader.readline():
                method, target, _ = line.decode("latin-1").split(" ", 2)
                headers = {}
                while (line := reader.readline().decode("latin-1").rstrip("\r\n")) != "":
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                body = reader.read(int(headers.get("content-length") or 0))
                received = Received(method, target, headers, body)
                server.requests.append(received)
                data = answer(received, connection)
                if data is None:
                    return
                connection.sendall(data)

    with raw_server(serve) as server.host:
        yield server


def response(status: int = 200, headers: Optional[dict] = None, body: bytes = b"") -> bytes:
    """A response with a Content-Length."""
    lines = [f"{name}: {value}" for name, value in (headers or {}).items()]
    head = "\r\n".join([f"HTTP/1.1 {status} X", *lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode("latin-1") + body
