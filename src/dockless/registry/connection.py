"""Connections as urllib3 makes them, with big blocks, a short wait for the connection itself, and a least pace."""

from __future__ import annotations

import http.client
import io
import logging
from typing import TYPE_CHECKING, Any

from dockless.registry.clock import Clock
from dockless.registry.hosts import redact
from dockless.registry.pace import Pace

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 20
# Seconds until there is a connection. A block sent and an answer awaited have the timeouts of their request.
CONNECT = 20.0


class Stalled(TimeoutError):
    """A peer that trickles."""


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
        if self._begun and self._pace.stalled(n or 0, self._clock.monotonic() - begin):
            raise Stalled("the answer came to less than 1 KiB a second for a minute")
        self._begun = True
        self.ended = self.ended or not n
        return n

    def close(self) -> None:
        self._raw.close()
        super().close()


def session(jobs: int, clock: Clock) -> requests.Session:
    """A session of requests that does only what it is told: no environment, netrc, cookies, retries."""
    import requests
    import urllib3.connection
    import urllib3.connectionpool
    from requests.adapters import HTTPAdapter
    from requests.cookies import RequestsCookieJar

    class Response(http.client.HTTPResponse):
        def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            self._paced = _Paced(self.fp.detach(), clock)
            self.fp: Any = io.BufferedReader(self._paced, 64 * 1024)

        def begin(self) -> None:
            super().begin()
            # http.client takes an end for the empty line after the headers: what said 201 may have gone on to say more.
            if self._paced.ended:
                raise ConnectionResetError("the head of the answer was cut off")

    class Plain(urllib3.connection.HTTPConnection):
        response_class = Response

        def connect(self) -> None:
            _connect(super().connect, self)

    class Secure(urllib3.connection.HTTPSConnection):
        response_class = Response

        def connect(self) -> None:
            _connect(super().connect, self)

    class PlainPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = Secure

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **{**kwargs, "blocksize": BLOCK})  # type: ignore[no-untyped-call]
            self._own(self.poolmanager)

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            found = super().proxy_manager_for(proxy, **{**kwargs, "blocksize": BLOCK})  # type: ignore[no-untyped-call]
            return self._own(found)

        def _own(self, manager: Any) -> Any:
            if not _is_socks(manager):
                manager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
            return manager

    class NoCookies(RequestsCookieJar):
        """A jar knows no ports: what one registry of a host sets, another would get."""

        def set_cookie(self, *args: Any, **kwargs: Any) -> None:
            pass

    class Session(requests.Session):
        def get_redirect_target(self, *args: Any) -> None:
            """Redirects are followed elsewhere; requests, told not to, would still rewind the body for the next one."""

    made = Session()
    # ~/.netrc would replace a Bearer token by Basic and follow redirects; proxies and CAs are read on purpose instead.
    made.trust_env = False
    made.headers.clear()
    made.cookies = NoCookies()
    # urllib3's retries know nothing of sessions and bodies: there is one loop, and it is not here.
    adapter = Adapter(pool_connections=8, pool_maxsize=jobs + 2, max_retries=urllib3.Retry(0, read=False))
    made.mount("http://", adapter)
    made.mount("https://", adapter)
    logging.getLogger("urllib3.connectionpool").addFilter(_redacted)
    return made


def _redacted(record: logging.LogRecord) -> bool:
    """urllib3 logs whole paths at its lowest level: the query of a signed URL is a credential."""
    if isinstance(record.args, tuple):
        record.args = tuple(redact(part) if isinstance(part, str) and "?" in part else part for part in record.args)
    return True


def _is_socks(manager: Any) -> bool:
    """PySocks brings connections of its own."""
    return type(manager).__name__ == "SOCKSProxyManager"


def _connect(connect: Any, connection: Any) -> None:
    wanted = connection.timeout
    # urllib3 has its own mark for "no timeout": ours are always numbers.
    connection.timeout = min(CONNECT, wanted)
    try:
        connect()
    finally:
        connection.timeout = wanted
    connection.sock.settimeout(wanted)
