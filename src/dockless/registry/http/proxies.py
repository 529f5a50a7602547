"""The choice of a proxy by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes, urlsplit

from dockless.errors import RegistryError
from dockless.registry.http.addresses import is_loopback
from dockless.registry.http.url_policy import DEFAULT_PORTS

_SCHEMES = frozenset(("http", "https", "socks4", "socks4a", "socks5", "socks5h"))
_HOST = re.compile(r"[0-9a-zA-Z._:-]+\Z")


def choose_proxy(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for a URL, or None. Loopback is always direct. Raises RegistryError."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").lower().rstrip("."), parts.port or DEFAULT_PORTS.get(parts.scheme)
    if is_loopback(host) or _excluded(host, port, _variable(environ, "no_proxy")):
        return None
    name = f"{parts.scheme}_proxy"
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        # In a CGI program, HTTP_PROXY is a header that the client sent (httpoxy, CVE-2016-5385).
        proxy = environ.get("http_proxy", "").strip()
    else:
        proxy = _variable(environ, name) or _variable(environ, "all_proxy")
    if not proxy:
        return None
    try:
        proxy_url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        has_host = bool(_HOST.match(proxy_url.hostname or "")) and proxy_url.port != 0
        is_valid = has_host and proxy_url.scheme in _SCHEMES
    except ValueError:
        is_valid = False
    if not is_valid:
        raise RegistryError(
            f"the proxy that {name.upper()} names cannot be used",
            hint="write http://host:port (its value is not shown)",
        )
    # With the scheme in lower case.
    return proxy_url.geturl()


def proxy_authorization(proxy: str) -> dict[str, str]:
    """Return the header for a proxy whose URL contains a user name, in UTF-8 (RFC 9110, section 11.7.2)."""
    url = urlsplit(proxy)
    if url.username is None:
        return {}
    pair = unquote_to_bytes(url.username) + b":" + unquote_to_bytes(url.password or "")
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair).decode()}


def _variable(environ: Mapping[str, str], name: str) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()


def _excluded(host: str, port: int | None, no_proxy: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for item in no_proxy.replace(",", " ").split():
        if item == "*":
            return True
        name, colon, item_port = item.rpartition(":")
        # An IPv6 address contains colons, and has brackets if a port follows.
        if colon and item_port.isdigit() and (":" not in name or name.endswith("]")):
            if port != int(item_port):
                continue
            item = name
        item = item.strip("[]")
        if address is not None:
            try:
                if address in ipaddress.ip_network(item, strict=False):
                    return True
            except ValueError:
                pass
        suffix = item.lstrip("*").lstrip(".").lower()
        if suffix and (host == suffix or host.endswith("." + suffix)):
            return True
    return False
