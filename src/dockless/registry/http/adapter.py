"""A requests session with our connections, proxies and TLS contexts, without netrc, cookies and redirects."""

from __future__ import annotations

import http.cookiejar
import ssl
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

with warnings.catch_warnings():
    # requests warns about versions of chardet and charset_normalizer, which are not used here.
    warnings.simplefilter("ignore")
    from requests import PreparedRequest, Response, Session
    from requests.adapters import HTTPAdapter
    from requests.exceptions import InvalidSchema, RequestException
    from requests.structures import CaseInsensitiveDict

from dockless.registry.clock import Clock
from dockless.registry.http._urllib3 import (
    HTTPPool,
    HTTPSPool,
    StaleConnectionError,
    Timeout,
    new_connections,
    socks_pools,
)
from dockless.registry.http.addresses import AddressPolicy
from dockless.registry.http.proxies import proxy_authorization

__all__ = [
    "CaseInsensitiveDict",
    "PreparedRequest",
    "ProxySupportError",
    "Response",
    "Session",
    "StaleConnectionError",
    "Timeout",
    "make_document_session",
    "make_session",
    "new_connections",
]

# Bytes of a body that are read, sent and counted at a time.
BLOCK_SIZE = 1 << 20
# The largest body that a library gets, in bytes: all that it requests are tokens.
_MAX_DOCUMENT = 1 << 20


class ProxySupportError(Exception):
    """The proxy needs a package that is not installed."""


class _Session(Session):
    def get_redirect_target(self, resp: Response) -> None:
        """Return None: redirects are followed by `redirects`.

        Even when told not to follow, requests would rewind the body for a possible next request.
        """


class _DocumentSession(_Session):
    def send(self, request: PreparedRequest, **options: Any) -> Response:
        """Return a response whose body was read: requests itself limits neither bodies nor what is around chunks."""
        response = super().send(request, **{**options, "stream": True, "allow_redirects": False})
        try:
            raw: Any = response.raw
            body = b""
            while len(body) <= _MAX_DOCUMENT and (data := raw.read1(BLOCK_SIZE, decode_content=False)):
                body += data
        except Exception as error:
            raise RequestException(request=request) from error
        finally:
            response.close()
        if len(body) > _MAX_DOCUMENT:
            raise _TooLargeError(f"the response has more than {_MAX_DOCUMENT} bytes", request=request)
        response._content, response._content_consumed = body, True  # type: ignore[attr-defined]
        return response


class _TooLargeError(RequestException):
    pass


class _Adapter(HTTPAdapter):
    """Sends requests through the proxy that `choose_proxy` returns for a URL.

    `context_of` returns the TLS context for a host and port. `addresses` says which addresses are connected to, with
    `for_token` those that receive credentials; None: all. A proxy is connected to wherever it is: the user named it. At
    most `max_idle` connections are kept idle for each of `max_idle` hosts.
    """

    def __init__(
        self,
        context_of: Callable[[str, int], ssl.SSLContext],
        choose_proxy: Callable[[str], str | None],
        clock: Clock,
        *,
        addresses: AddressPolicy | None,
        for_token: bool,
        max_idle: int,
    ) -> None:
        self._addresses = addresses
        self._for_token = for_token
        self._context_of = context_of
        self._choose_proxy = choose_proxy
        self._clock = clock
        super().__init__(pool_connections=max_idle, pool_maxsize=max_idle)

    def send(self, request: PreparedRequest, *args: Any, **options: Any) -> Response:
        url = request.url or ""
        proxy = self._choose_proxy(url)
        options["proxies"] = {urlsplit(url).scheme: proxy} if proxy else {}
        return super().send(request, *args, **options)

    def request_url(self, request: PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        """Return the request target: the URL for an HTTP proxy (RFC 9112, section 3.2.2), else its path and query."""
        url = request.url or ""
        scheme, _, rest = url.partition("://")
        proxy = (proxies or {}).get(scheme, "")
        if scheme == "http" and proxy and not proxy.startswith("socks"):
            return url
        return "/" + rest.partition("/")[2]

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        return proxy_authorization(proxy)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, blocksize=BLOCK_SIZE)  # type: ignore[no-untyped-call]
        self._use_pools(self.poolmanager, HTTPPool, HTTPSPool, self._addresses)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy in self.proxy_manager:
            return self.proxy_manager[proxy]
        url = urlsplit(proxy)
        if url.scheme == "https":
            # For plain HTTP through a TLS proxy, urllib3 before 2.7 uses the second.
            options["proxy_ssl_context"] = options["ssl_context"] = self._context_of(
                url.hostname or "", url.port or 443
            )
        try:
            manager = super().proxy_manager_for(proxy, **options, blocksize=BLOCK_SIZE)  # type: ignore[no-untyped-call]
            pools = socks_pools() if url.scheme.startswith("socks") else (HTTPPool, HTTPSPool)
        except (ImportError, InvalidSchema):
            raise ProxySupportError("PySocks") from None
        return self._use_pools(manager, *pools, None)

    def _use_pools(self, manager: Any, http_pool: Any, https_pool: Any, addresses: AddressPolicy | None) -> Any:
        options: Any = {"clock": self._clock, "addresses": addresses, "for_token": self._for_token}
        manager.pool_classes_by_scheme = {
            "http": partial(http_pool, **options),
            "https": partial(https_pool, **options),
        }
        return manager

    def build_connection_pool_key_attributes(self, request: PreparedRequest, verify: Any, cert: Any = None) -> Any:
        url = urlsplit(request.url or "")
        tls = {"ssl_context": self._context_of(url.hostname or "", url.port or 443)} if url.scheme == "https" else {}
        return {"scheme": url.scheme, "host": url.hostname, "port": url.port}, tls

    def cert_verify(self, *args: Any) -> None:
        """Do nothing: the TLS context verifies, and reads its CA files once, not for each connection."""

    def close(self) -> None:
        # urllib3 2 leaves idle connections open until they are garbage-collected.
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 (a RecentlyUsedContainer cannot be iterated over)
                pool = manager.pools.get(key)
                if pool is not None:
                    pool.close()
        super().close()  # type: ignore[no-untyped-call]


def make_session(
    context_of: Callable[[str, int], ssl.SSLContext],
    choose_proxy: Callable[[str], str | None],
    clock: Clock,
    *,
    addresses: AddressPolicy | None,
    for_token: bool = False,
    max_idle: int,
) -> Session:
    """Return a session that reads neither the environment nor netrc, keeps no cookies and follows no redirects.

    See `_Adapter` for the arguments.
    """
    return _set_up(
        _Session(),
        _Adapter(context_of, choose_proxy, clock, addresses=addresses, for_token=for_token, max_idle=max_idle),
    )


def make_document_session(
    context_of: Callable[[str, int], ssl.SSLContext], choose_proxy: Callable[[str], str | None], clock: Clock
) -> Session:
    """Return a session for a library, which reads each response to its end: only small ones, from any address."""
    adapter = _Adapter(context_of, choose_proxy, clock, addresses=None, for_token=False, max_idle=1)
    session = _set_up(_DocumentSession(), adapter)
    session.headers["Accept-Encoding"] = "identity"
    return session


def _set_up(session: Session, adapter: _Adapter) -> Session:
    # A netrc entry would replace the Authorization header; proxies and CA files are chosen here.
    session.trust_env = False
    session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    session.adapters.clear()
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session
