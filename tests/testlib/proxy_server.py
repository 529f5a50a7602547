"""Working proxies: HTTP, plain or over TLS, and SOCKS 5."""

import contextlib
import selectors
import socket
import ssl
import struct
from collections.abc import Iterator
from typing import NamedTuple, Optional
from urllib.parse import urlsplit

from raw_server import raw_server


class Proxy(NamedTuple):
    """The address host:port, and the requests: the heads of requests to an HTTP proxy, or `SOCKS host:port`."""

    address: str
    requests: list


@contextlib.contextmanager
def http_proxy(tls: Optional[ssl.SSLContext] = None) -> Iterator[Proxy]:
    """Opens tunnels, and forwards requests of plain HTTP (RFC 9110, section 7.6), one per connection."""
    requests = []

    def serve(connection: socket.socket) -> None:
        near = tls.wrap_socket(connection, server_side=True) if tls else connection
        with near:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += near.recv(1)
            requests.append(head.decode())
            method, target, _ = head.decode().split(" ", 2)
            url = urlsplit(f"//{target}" if method == "CONNECT" else target)
            with socket.create_connection((url.hostname, url.port)) as far:
                if method == "CONNECT":
                    near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    path = target[len(f"http://{url.netloc}") :]
                    lines = [line for line in head.split(b"\r\n")[1:-2] if not line.lower().startswith(b"proxy-")]
                    lines = [f"{method} {path} HTTP/1.1".encode(), *lines, b"Connection: close", b"", b""]
                    far.sendall(b"\r\n".join(lines))
                _pass_on(near, far)

    with raw_server(serve) as address:
        yield Proxy(address, requests)


@contextlib.contextmanager
def socks_proxy(user: str, password: str) -> Iterator[Proxy]:
    """SOCKS 5 (RFC 1928) with a password (RFC 1929)."""
    requests = []

    def serve(connection: socket.socket) -> None:
        offered = _read(connection, 2)[1]
        assert 2 in _read(connection, offered)
        connection.sendall(b"\x05\x02")
        _read(connection, 1)
        given = [_read(connection, _read(connection, 1)[0]).decode() for _ in range(2)]
        known = given == [user, password]
        connection.sendall(b"\x01\x00" if known else b"\x01\x01")
        if not known:
            return
        kind = _read(connection, 4)[3]
        host = (
            socket.inet_ntoa(_read(connection, 4)) if kind == 1 else _read(connection, _read(connection, 1)[0]).decode()
        )
        port = struct.unpack(">H", _read(connection, 2))[0]
        requests.append(f"SOCKS {host}:{port}")
        with socket.create_connection((host, port)) as far:
            connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
            _pass_on(connection, far)

    with raw_server(serve) as address:
        yield Proxy(address, requests)


def _read(connection: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n:
        data += connection.recv(n - len(data))
    return data


def _pass_on(near: socket.socket, far: socket.socket) -> None:
    """Forwards bytes in both directions until one side ends."""
    sides = {near: far, far: near}
    # Not select.select: other tests of the process may leave it more than 1024 open files.
    with selectors.DefaultSelector() as selector:
        for side in sides:
            selector.register(side, selectors.EVENT_READ)
        while True:
            ready = [side for side in sides if isinstance(side, ssl.SSLSocket) and side.pending()]
            for side in ready or [key.fileobj for key, _ in selector.select(30)]:
                data = side.recv(65536)
                if not data:
                    return
                sides[side].sendall(data)
