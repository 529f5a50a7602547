"""Connections and pools of urllib3 with what a push needs. All overrides of urllib3's private names are here.

Overridden private names: `_new_conn`, `_dns_host`, `_tunnel`, `_tunnel_scheme` of connections; `_get_conn`,
`_make_request`, `_put_conn`, `_validate_conn` of pools. The tests run with the oldest and the newest urllib3 of the
supported range.
"""

from __future__ import annotations

import contextlib
import errno
import http.client
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import urllib3.connection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError, ProxyError
from urllib3.util import Timeout

from dockless.registry.clock import Clock
from dockless.registry.errors import ProtocolError
from dockless.registry.http.addresses import AddressPolicy
from dockless.registry.http.happy_eyeballs import connect
from dockless.registry.http.sending import BodySender, EarlyResponseError
from dockless.registry.http.strict_response import StrictResponse

# Seconds to establish a connection, and for each step of a proxy or a TLS peer in doing so.
CONNECT_TIMEOUT = 20.0
# A TLS record that was only partly sent has to be sent again from its start: large ones would be repeated often.
_SEND_SIZE = 64 * 1024

__all__ = [
    "HTTPPool",
    "HTTPSPool",
    "StaleConnectionError",
    "Timeout",
    "new_connections",
    "socks_pools",
]

_LOGGERS = ("urllib3.connection", "urllib3.connectionpool", "urllib3.util.retry")
_exchange = threading.local()


class StaleConnectionError(Exception):
    """A reused connection ended before a byte of the response arrived."""


# The type of `self` in a mixin: whatever urllib3's class has.
_Mixin: Any = object


class _Connection(_Mixin):  # type: ignore[misc]
    """Mixin for urllib3's connection classes.

    Connects to all addresses of a host in parallel, reads a response that arrives while the body is still being sent,
    enforces the minimum transfer rate, and rejects malformed responses.
    """

    timeout: Any

    def __init__(
        self, *args: Any, clock: Clock, addresses: AddressPolicy | None, for_token: bool, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self._clock = clock
        self._addresses = addresses
        self._for_token = for_token
        self._head_sent = False
        self._body_incomplete = False
        # Set by StrictResponse when bytes followed the response: they must not be read as the next response.
        self.out_of_step = False
        # Set by StrictResponse when the first byte of a response has arrived.
        self.response_began = False
        self.response_class: Any = partial(StrictResponse, clock=clock)

    def _new_conn(self) -> socket.socket:
        host, port, timeout = self._dns_host, self.port, self.timeout
        try:
            sock = connect(host, port, timeout, self._refusal_of)
            if self._addresses is not None:
                self._addresses.connected(host, port, str(sock.getpeername()[0]))
        except OSError as error:
            if error.errno == errno.ENOTCONN:
                # The peer accepted the connection, and has closed it already.
                error = ConnectionResetError(errno.ECONNRESET, "the connection was reset")
            raise NewConnectionError(self, "cannot connect") from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _refusal_of(self, address: str) -> ProtocolError | None:
        """Return the error for an address that the host stands for, if it may not be connected to."""
        if self._addresses is None:
            return None
        return self._addresses.check(self._dns_host, self.port, address, for_token=self._for_token)

    def connect(self) -> None:
        send_timeout = self.timeout
        self.timeout = min(CONNECT_TIMEOUT, send_timeout)
        # urllib3's TLS inside TLS has a timeout for each read only: a peer that sends byte by byte would never end.
        watchdog = threading.Timer(self.timeout, lambda: _shut_down(self.sock)) if self._is_tls_in_tls() else None
        if watchdog is not None:
            watchdog.start()
        try:
            super().connect()
        finally:
            self.timeout = send_timeout
            if watchdog is not None:
                watchdog.cancel()
        if hasattr(self.sock, "suppress_ragged_eofs"):
            # A TLS socket: an end without close_notify is an error, not the end of a body (RFC 9112, section 9.8).
            self.sock.suppress_ragged_eofs = False
        self._sender = BodySender(self.sock, self._clock)
        self.out_of_step = False

    def _is_tls_in_tls(self) -> bool:
        return bool(self._tunnel_scheme == "https")

    def _tunnel(self) -> None:
        try:
            super()._tunnel()
        except (OSError, http.client.HTTPException) as error:
            raise ProxyError("CONNECT failed", error) from error

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        if self.sock is not None:
            # A reused connection still has the read timeout of its last response.
            self.sock.settimeout(self.timeout)
        self._body_incomplete, self._head_sent, self.response_began = True, False, False
        # A peer that closed its end may have sent its reason before: 413 for a blob that is too large, for example.
        with contextlib.suppress(EarlyResponseError, BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            super().request(method, url, body, headers, **options)
            self._body_incomplete = False

    def endheaders(self, *args: Any, **options: Any) -> None:
        super().endheaders(*args, **options)
        self._head_sent = True

    def send(self, data: Any) -> None:
        if not self._head_sent:
            super().send(data)
            return
        view = memoryview(data)
        sock = self.sock
        self._sender.send(lambda done: sock.send(view[done : done + _SEND_SIZE]), len(view))

    def getresponse(self) -> Any:
        received, self._sender.received = self._sender.received, b""
        plain_class = self.response_class
        responses: list[StrictResponse] = []

        def make_response(*args: Any, **options: Any) -> StrictResponse:
            response = StrictResponse(
                *args,
                **options,
                clock=self._clock,
                received=received,
                connection=self,
                close_after=self._body_incomplete,
            )
            responses.append(response)
            return response

        self.response_class = make_response
        try:
            return super().getresponse()
        except BaseException:
            # After "Connection: close", only the response holds the socket.
            for response in responses:
                response.close()
            raise
        finally:
            # No reference cycle: connections and responses are finalized when they are dropped, not during other work.
            self.response_class = plain_class

    @property
    def is_connected(self) -> bool:
        """Whether the connection can be reused: the peer neither closed it nor sent anything unrequested."""
        # Bytes that TLS has decrypted already are no longer visible on the socket.
        pending = getattr(self.sock, "pending", None)
        return not self.out_of_step and not (pending and pending()) and super().is_connected


class _HTTPConnection(_Connection, urllib3.connection.HTTPConnection):
    pass


class _HTTPSConnection(_Connection, urllib3.connection.HTTPSConnection):
    pass


class _Pool(_Mixin):  # type: ignore[misc]
    """Mixin for urllib3's pools. Sends request targets unchanged, and tells which connections were dead."""

    connection_class: Any
    ConnectionCls: Any

    def __init__(
        self, *args: Any, clock: Clock, addresses: AddressPolicy | None, for_token: bool, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        self.ConnectionCls = partial(self.connection_class, clock=clock, addresses=addresses, for_token=for_token)

    def urlopen(self, method: str, url: str, *args: Any, **options: Any) -> Any:
        with _unlogged():
            # urllib3 would normalize the target, which invalidates a signed URL.
            return super().urlopen(method, url, *args, target=url, **options)

    def _make_request(self, conn: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        reused = not conn.is_closed
        target = options.pop("target")
        try:
            return super()._make_request(conn, method, target, *args, **options)
        except (ConnectionError, ssl.SSLEOFError) as error:
            if reused and not conn.response_began:
                raise error from StaleConnectionError()
            raise

    def _get_conn(self, timeout: Any = None) -> Any:
        conn = super()._get_conn(timeout)
        if getattr(_exchange, "is_new", False):
            conn.close()
        return conn

    def _put_conn(self, conn: Any) -> None:
        with _unlogged():
            super()._put_conn(conn)

    def _validate_conn(self, conn: Any) -> None:
        # Without the warning about unverified certificates: the user asked not to verify them.
        if conn.is_closed:
            conn.connect()


class HTTPPool(_Pool, HTTPConnectionPool):
    """A pool of plain HTTP connections."""

    connection_class = _HTTPConnection


class HTTPSPool(_Pool, HTTPSConnectionPool):
    """A pool of TLS connections."""

    connection_class = _HTTPSConnection


def socks_pools() -> tuple[type, type]:
    """Return the pool classes for HTTP and HTTPS through a SOCKS proxy. Raises ImportError without PySocks."""
    from urllib3.contrib import socks

    class SocksHTTPConnection(_Connection, socks.SOCKSConnection):
        _new_conn = _new_socks_conn

    class SocksHTTPSConnection(_Connection, socks.SOCKSHTTPSConnection):
        _new_conn = _new_socks_conn

    class SocksHTTPPool(_Pool, socks.SOCKSHTTPConnectionPool):
        connection_class = SocksHTTPConnection

    class SocksHTTPSPool(_Pool, socks.SOCKSHTTPSConnectionPool):
        connection_class = SocksHTTPSConnection

    return SocksHTTPPool, SocksHTTPSPool


def _new_socks_conn(connection: Any) -> Any:
    """Return a socket that a SOCKS proxy has connected to the host, within the timeout of the connection.

    urllib3's method cannot be used: PySocks has a timeout for each read only, and a proxy that sends byte by byte would
    take an hour.
    """
    from urllib3.contrib.socks import socks  # type: ignore[attr-defined]

    options = connection._socks_options
    host, port, proxy = connection.host.strip("[]"), connection.port, options["proxy_host"].strip("[]")
    deadline = time.monotonic() + connection.timeout
    failure: Exception | None = None
    try:
        for family, kind, protocol, _, _ in socket.getaddrinfo(proxy, options["proxy_port"], 0, socket.SOCK_STREAM):
            sock = socks.socksocket(family, kind, protocol)
            left = max(deadline - time.monotonic(), 0.001)
            sock.settimeout(left)
            sock.set_proxy(
                options["socks_version"],
                proxy,
                options["proxy_port"],
                options["rdns"],
                options["username"],
                options["password"],
            )
            watchdog = threading.Timer(left, _shut_down, [sock])
            watchdog.start()
            try:
                sock.connect((host, port))
                sock.settimeout(connection.timeout)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except (OSError, socks.ProxyError) as error:
                sock.close()
                failure = error
            finally:
                watchdog.cancel()
    except OSError as error:
        failure = error
    raise NewConnectionError(connection, "the SOCKS proxy did not connect") from failure


def _shut_down(sock: Any) -> None:
    """End all reads of a socket."""
    with contextlib.suppress(OSError, AttributeError):
        # Of the TCP connection below: SSLSocket.shutdown would first discard the TLS state that a read uses.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


@contextlib.contextmanager
def new_connections() -> Iterator[None]:
    """Let requests of this thread use no connection that was used before."""
    before = getattr(_exchange, "is_new", False)
    _exchange.is_new = True
    try:
        yield
    finally:
        _exchange.is_new = before


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Suppress urllib3's own log records of this thread: they contain whole URLs, whose queries may be signed."""
    before = getattr(_exchange, "active", False)
    _exchange.active = True
    try:
        yield
    finally:
        _exchange.active = before


def _is_not_ours(record: logging.LogRecord) -> bool:
    return not getattr(_exchange, "active", False)


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_is_not_ours)
