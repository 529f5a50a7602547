"""Tells requests of programs on this machine from those that a browser sends for a web page.

Every page can make a browser send requests to loopback addresses. A page whose name resolves to one (DNS rebinding)
can also read the responses, but the Host header then has the name of the page. Otherwise the browser adds the header
Origin (Fetch standard, 3.1), which registry clients do not send.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from dockless.testing.connection import Head

_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]@/]+))(?::[0-9]{1,5})?\Z")


def is_local(head: Head, address: str) -> bool:
    """Return whether a request has no Origin, and names as its host a loopback name or `address`."""
    hosts = [*head.headers.get_all("Host", []), urlsplit(head.target).netloc]
    return "Origin" not in head.headers and all(_is_local_host(host.strip(), address) for host in hosts if host)


def is_loopback(address: str) -> bool:
    """Return whether an address or name is a loopback address, or a name that always stands for one (RFC 6761, 6.3)."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        name = address.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")


def _is_local_host(host: str, address: str) -> bool:
    found = _HOST.match(host)
    name = (found["six"] or found["name"]) if found else ""
    return bool(name) and (is_loopback(name) or name == address)
