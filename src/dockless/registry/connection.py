"""Connections as urllib3 makes them, with big blocks, a short wait for the connection itself, and a least pace."""

from __future__ import annotations

import http.client
import io
import logging
import ssl
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from dockless.registry.body import BlobPart, FileSlice
from dockless.registry.clock import Clock
from dockless.registry.hosts import redact
from dockless.registry.pace import Pace

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

BLOCK = 1 << 20
# Less goes at once.
SMALL = 64 * 1024
# Seconds until there is a connection. A block sent and an answer awaited have the timeouts of their request.
CONNECT = 20.0
# Answers before the answer: 100, 102, 103.
_MOST_INTERIM = 20


class _Paced(io.RawIOBase):
    """What a socket brings. The wait for an answer's first byte is the read timeout's business: it is not counted."""

    def __init__(self, raw: io.RawIOBase, clock: Clock) -> None:
        self._raw = raw
        self._clock = clock
        self._pace = Pace()
        self._begun = False
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        begin = self._clock.monotonic()
        n = self._raw.readinto(buffer)
        if self._begun:
            self._pace.check(n or 0, self._clock.monotonic() - begin, "the answer")
        self._begun = True
        self.ended = self.ended or not n
        return n

    def close(self) -> None:
        self._raw.close()
        super().close()


class Connections:
    """Pools of connections by the proxy and the trust that they want; nothing is retried or followed, or remembered.

    Safe for threads.
    """

    def __init__(self, jobs: int, clock: Clock) -> None:
        self._jobs = jobs
        self._clock = clock
        self._managers: dict[tuple[str | None, ssl.SSLContext | None], PoolManager] = {}
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any,
        *,
        timeouts: tuple[float, float],
        context: ssl.SSLContext | None,
        proxy: str | None,
    ) -> BaseHTTPResponse:
        """One request; the answer's body is still on the wire. Raises what urllib3, http.client and ssl raise.

        `timeouts` are for what is sent and for what is awaited; `context` for TLS, if there is any on the way.
        """
        import urllib3

        # urllib3's own reading of URLs takes a tenth of a millisecond for one with a state in its query.
        parts = urlsplit(url)
        manager = self._manager(proxy, context)
        pool = manager.connection_from_host(parts.hostname, parts.port, parts.scheme)
        # A proxy for plain http is told the whole URL; all others see a path.
        whole = parts.scheme == "http" and pool.proxy is not None
        return pool.urlopen(
            method,
            (f"http://{parts.netloc}" if whole else "")
            + (parts.path or "/")
            + (f"?{parts.query}" if parts.query else ""),
            body=body,
            headers=headers,
            # There is one loop of retries, which knows of sessions and bodies, and it is not here.
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=urllib3.Timeout(connect=timeouts[0], read=timeouts[1]),
            preload_content=False,
            decode_content=False,
        )

    def close(self) -> None:
        with self._lock:
            for manager in self._managers.values():
                manager.clear()

    def _manager(self, proxy: str | None, context: ssl.SSLContext | None) -> PoolManager:
        with self._lock:
            if (proxy, context) not in self._managers:
                self._managers[proxy, context] = _make_manager(proxy, context, self._jobs, self._clock)
            return self._managers[proxy, context]


def _make_manager(proxy: str | None, context: ssl.SSLContext | None, jobs: int, clock: Clock) -> PoolManager:
    import urllib3.connection
    import urllib3.connectionpool

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self._paced = _Paced(self.fp.detach(), clock)
            self.fp: Any = io.BufferedReader(self._paced, 64 * 1024)

        def _read_status(self) -> Any:
            """The status of the final answer: http.client passes over 100 alone, and over any number of them.

            What it took for final would leave the true answer to be read as that to the next request (RFC 9110, 15.2).
            """
            for _ in range(_MOST_INTERIM):
                found = super()._read_status()  # type: ignore[misc]
                if not 100 <= found[1] < 200 or found[1] == 101:
                    return found
                http.client.parse_headers(self.fp)
            raise http.client.HTTPException(f"more than {_MOST_INTERIM} interim answers")

        def begin(self) -> None:
            super().begin()
            # http.client takes an end for the empty line after the headers: what said 201 may have gone on to say more.
            if self._paced.ended:
                raise ConnectionResetError("the head of the answer was cut off")

    class Plain(urllib3.connection.HTTPConnection):
        response_class = Response

        def request(self, method: str, url: str, body: Any = None, *args: Any, **kwargs: Any) -> None:
            slices: Any = body.slices() if isinstance(body, BlobPart) else None
            super().request(method, url, body if slices is None else slices, *args, **kwargs)

        def send(self, data: Any) -> None:
            if isinstance(data, FileSlice):
                data.send(self.sock, clock)
            elif not _sent(data, self.sock, clock):
                super().send(data)

        def connect(self) -> None:
            _connect(super().connect, self)

    class Secure(urllib3.connection.HTTPSConnection):
        response_class = Response

        def send(self, data: Any) -> None:
            if not _sent(data, self.sock, clock):
                super().send(data)

        def connect(self) -> None:
            _connect(super().connect, self)

    class PlainPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = Secure

    sizes: dict[str, Any] = {"num_pools": 8, "maxsize": 2 * jobs + 2, "blocksize": BLOCK, "ssl_context": context}
    logging.getLogger("urllib3.connectionpool").addFilter(_redacted)
    if proxy and proxy.lower().startswith("socks"):
        from urllib3.contrib.socks import SOCKSProxyManager

        # PySocks brings connections of its own.
        return SOCKSProxyManager(proxy, **sizes)
    manager: PoolManager
    if proxy:
        user = urllib3.util.parse_url(proxy).auth
        own = urllib3.make_headers(proxy_basic_auth=unquote(user)) if user else None
        manager = urllib3.ProxyManager(proxy, proxy_headers=own, proxy_ssl_context=context, **sizes)
    else:
        manager = urllib3.PoolManager(**sizes)
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return manager


def _redacted(record: logging.LogRecord) -> bool:
    """urllib3 logs whole paths at its lowest level: the query of a signed URL is a credential."""
    if isinstance(record.args, tuple):
        record.args = tuple(redact(part) if isinstance(part, str) and "?" in part else part for part in record.args)
    return True


def _sent(data: Any, sock: Any, clock: Clock) -> bool:
    """Sends a block piece by piece, as the peer takes it: `sendall` wants all of it within one timeout."""
    if sock is None or not isinstance(data, bytes) or len(data) < SMALL:
        return False
    view, pace = memoryview(data), Pace()
    while view:
        begin = clock.monotonic()
        n = sock.send(view)
        pace.check(n, clock.monotonic() - begin, "what is sent")
        view = view[n:]
    return True


def _connect(connect: Any, connection: Any) -> None:
    wanted = connection.timeout
    # urllib3 has its own mark for "no timeout": ours are always numbers.
    connection.timeout = min(CONNECT, wanted)
    try:
        connect()
    finally:
        connection.timeout = wanted
    connection.sock.settimeout(wanted)
