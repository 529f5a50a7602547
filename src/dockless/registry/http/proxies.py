"""HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, read on purpose."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes, urlsplit

from dockless.errors import RegistryError
from dockless.registry.http.url_policy import DEFAULT_PORTS, is_loopback

_SCHEMES = frozenset(("http", "https", "socks4", "socks4a", "socks5", "socks5h"))
_HOST = re.compile(r"[0-9a-zA-Z._:-]+\Z")


def choose_proxy(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy for a URL, or None. Loopback is always direct. Raises RegistryError for one that cannot be read."""
    parts = urlsplit(url)
    host, port = (parts.hostname or "").lower().rstrip("."), parts.port or DEFAULT_PORTS.get(parts.scheme)
    if is_loopback(host) or _excluded(host, port, _variable(environ, "no_proxy")):
        return None
    name = f"{parts.scheme}_proxy"
    if name == "http_proxy" and "REQUEST_METHOD" in environ:
        # A CGI program's HTTP_PROXY is what a client sent (httpoxy, CVE-2016-5385).
        proxy = environ.get("http_proxy", "").strip()
    else:
        proxy = _variable(environ, name) or _variable(environ, "all_proxy")
    if not proxy:
        return None
    found = proxy if "://" in proxy else f"http://{proxy}"
    try:
        usable = urlsplit(found)
        good = usable.scheme in _SCHEMES and bool(_HOST.match(usable.hostname or "")) and usable.port != 0
    except ValueError:
        good = False
    if not good:
        raise RegistryError(
            f"the proxy that {name.upper()} names cannot be used",
            hint="write http://host:port (its value is not shown)",
        )
    # With its scheme in lower case.
    return usable.geturl()


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
        name, colon, wanted_port = item.rpartition(":")
        # An IPv6 address has colons of its own, and brackets where a port follows.
        if colon and wanted_port.isdigit() and (":" not in name or name.endswith("]")):
            if port != int(wanted_port):
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
