"""How a connection to a host comes to be: direct or through a proxy, with TLS where the URL wants it."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import SplitResult, unquote, unquote_to_bytes, urlsplit

from dockless.registry.clock import Clock
from dockless.registry.http.reach import reach
from dockless.registry.http.response import Response
from dockless.registry.http.url_policy import DEFAULT_PORTS

# Seconds until there is a connection, and for a proxy's or a TLS peer's part in it.
CONNECT = 20.0
_SOCKS_PORT = 1080


class Route(NamedTuple):
    """Where requests go, and the URL of the proxy on the way, if any."""

    scheme: str
    host: str
    port: int
    proxy: str | None = None

    @classmethod
    def to(cls, url: SplitResult, proxy: str | None) -> Route:
        return cls(url.scheme, url.hostname or "", url.port or DEFAULT_PORTS[url.scheme], proxy)

    @property
    def asks_proxy(self) -> bool:
        """Whether requests are the proxy's to read and to pass on (RFC 9112, section 3.2.2): those of plain http."""
        return self.scheme == "http" and self.proxy is not None and not _is_socks(urlsplit(self.proxy))


class NotConnected(Exception):
    """There is no connection to the host, for the reason that is this one's cause."""


class ProxyFailed(Exception):
    """The proxy is not there, or did not connect: `status` is what it answered, 0 where that was nothing."""

    def __init__(self, status: int = 0) -> None:
        super().__init__()
        self.status = status


def dial(route: Route, context_of: Callable[[str], ssl.SSLContext], clock: Clock) -> Any:
    """A connected socket, or what serves as one. `context_of` says what TLS with a host is made with.

    Raises NotConnected, ProxyFailed, ImportError where a proxy needs a package, and what a TLS handshake raises.
    """
    if route.proxy is not None:
        connected = _through_proxy(route, urlsplit(route.proxy), context_of, clock)
    else:
        try:
            connected = _tcp(route.host, route.port)
        except OSError as error:
            raise NotConnected() from error
    return _secured(connected, context_of, route.host) if route.scheme == "https" else connected


def proxy_authorization(proxy: str) -> dict[str, str]:
    """The header for a proxy whose URL names a user (RFC 9110, section 11.7.2)."""
    url = urlsplit(proxy)
    if url.username is None:
        return {}
    known = unquote_to_bytes(url.username) + b":" + unquote_to_bytes(url.password or "")
    return {"Proxy-Authorization": "Basic " + base64.b64encode(known).decode()}


def _tcp(host: str, port: int) -> socket.socket:
    connected = reach(host, port, CONNECT)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _secured(connected: Any, context_of: Callable[[str], ssl.SSLContext], host: str) -> Any:
    # A name may end with a dot, that in a certificate does not.
    name = host.rstrip(".")
    try:
        if isinstance(connected, ssl.SSLSocket):
            from dockless.registry.http.tls_in_tls import TlsInTls

            return TlsInTls(connected, context_of(host), name)
        return context_of(host).wrap_socket(connected, server_hostname=name)
    except BaseException:
        connected.close()
        raise


def _is_socks(proxy: SplitResult) -> bool:
    return proxy.scheme.startswith("socks")


def _through_proxy(route: Route, proxy: SplitResult, context_of: Callable[[str], ssl.SSLContext], clock: Clock) -> Any:
    try:
        if _is_socks(proxy):
            return _through_socks(route, proxy)
        host = proxy.hostname or ""
        connected: Any = _tcp(host, proxy.port or DEFAULT_PORTS[proxy.scheme])
        if proxy.scheme == "https":
            connected = _secured(connected, context_of, host)
    except OSError as error:
        raise ProxyFailed() from error
    try:
        if route.scheme == "https":
            _open_tunnel(connected, route, clock)
    except BaseException:
        connected.close()
        raise
    return connected


def _open_tunnel(connected: Any, route: Route, clock: Clock) -> None:
    """Has the proxy connect (RFC 9110, section 9.3.6). Raises ProxyFailed."""
    host = f"[{route.host}]" if ":" in route.host else route.host
    headers = {"Host": f"{host}:{route.port}", **proxy_authorization(route.proxy or "")}
    lines = [f"CONNECT {host}:{route.port} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    answer = Response(connected, method="CONNECT", clock=clock)
    try:
        connected.sendall("".join(line + "\r\n" for line in (*lines, "")).encode("latin-1"))
        answer.begin()
        if not 200 <= answer.status < 300:
            raise ProxyFailed(answer.status)
    except (OSError, http.client.HTTPException) as error:
        raise ProxyFailed() from error
    finally:
        answer.close()


def _through_socks(route: Route, proxy: SplitResult) -> Any:
    """By PySocks, which whoever has such a proxy has to install."""
    import socks  # type: ignore[import-untyped]

    return socks.create_connection(
        (route.host, route.port),
        CONNECT,
        proxy_type=socks.SOCKS4 if proxy.scheme.startswith("socks4") else socks.SOCKS5,
        proxy_addr=proxy.hostname,
        proxy_port=proxy.port or _SOCKS_PORT,
        # Whether the proxy looks up the name (curl's schemes).
        proxy_rdns=proxy.scheme in ("socks4a", "socks5h"),
        proxy_username=unquote(proxy.username) if proxy.username else None,
        proxy_password=unquote(proxy.password) if proxy.password else None,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
