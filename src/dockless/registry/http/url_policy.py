"""Which hosts are this machine's own, and where a registry may send us."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Union
from urllib.parse import SplitResult, urldefrag, urljoin, urlsplit

from dockless.errors import printable
from dockless.registry.errors import Unexpected

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

_OLD_ADDRESS = re.compile(r"(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]+|[0-9]+)){0,3}\Z")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?\Z")
_LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
# IPv6 that stands for IPv4: NAT64 (RFC 6052), 6to4 (RFC 3056), the old compatible form (RFC 4291, 2.5.5.1).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
# Where clouds keep a machine's credentials beside 169.254.169.254: Alibaba's and Oracle's.
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
DEFAULT_PORTS = {"http": 80, "https": 443}


def split_host(registry: str) -> str:
    """The host of `host[:port]`, IPv6 without its brackets."""
    return urlsplit(f"//{registry}").hostname or ""


def is_loopback(host: str) -> bool:
    """localhost, *.localhost (RFC 6761, section 6.3), 127.0.0.0/8 and ::1."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: what credentials belong to."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), _port(parts)


def check_destination(url: str, registry_url: str, what: str, *, strict: bool = False) -> None:
    """Refuses, with Unexpected, a place that a registry at `registry_url` may not send us to.

    Not from https to http; no user in it; no address inside this machine or network unless the registry is there
    itself. `strict`, for whoever gets credentials (token realms): such an address must be the registry's own, and a
    name must not stand for one of this machine. (That a name stands for a private one is a company's own token server.)
    """
    registry = urlsplit(registry_url).netloc
    try:
        parts = urlsplit(url)
    except ValueError:
        raise Unexpected(f"{what} {printable(url, 200)!r} of {registry} is no URL") from None
    shown = f"{what} {printable(redact(url), 200)!r} of {registry}"
    try:
        port = _port(parts)
    except ValueError:
        raise Unexpected(f"{shown} has no usable port") from None
    host = (parts.hostname or "").lower()
    # What is taken for a host must be what is connected to: some readers of URLs take `%31` for a 1.
    if parts.scheme not in DEFAULT_PORTS or not (_HOST.match(host) or (":" in host and _address(host))):
        raise Unexpected(f"{shown} is no http address")
    if parts.username is not None or parts.password is not None:
        raise Unexpected(f"{shown} holds a user name")
    mine = origin_of(registry_url)
    if mine[0] == "https" and parts.scheme == "http":
        raise Unexpected(
            f"{shown} leads from https to http",
            hint="nothing was sent there; a proxy before the registry may have to set X-Forwarded-Proto",
        )
    if (host, port) == mine[1:]:
        return
    local = is_loopback(mine[1]) or _is_inner(_address(mine[1]))
    address = _address(host) or (_LOOPBACK if is_loopback(host) and not local and not strict else None)
    if _is_inner(address) and not local and not strict:
        # A registry of the company, by name, leads to a store of the company, by address.
        local = any(_is_inner(a) and not a.is_loopback for a in _resolved(mine[1])) and not is_loopback(host)
    if _is_inner(address) and (strict or not local or _is_nobodys(address)):
        raise Unexpected(f"{shown} is an address inside this network", hint="nothing was sent there")
    if strict and address is None:
        found = _resolved(host)
        # By /etc/hosts, of kind or compose, the registry may be here too.
        mine_found = _resolved(mine[1])
        here = local or bool(mine_found and all(a.is_loopback for a in mine_found))
        if any(_is_nobodys(a) or (a.is_loopback and not here) for a in found):
            raise Unexpected(f"{shown} stands for an address of this machine", hint="nothing was sent there")


def follow(base: str, location: str, what: str) -> str:
    """The URL that a Location or Link header stands for, its query as it came. Raises Unexpected."""
    try:
        # A fragment is not sent: what is put behind it would be lost.
        return urldefrag(urljoin(base, location)).url
    except ValueError:
        raise Unexpected(f"{what} {printable(location, 200)!r} of {urlsplit(base).netloc} is no URL") from None


def redact(url: str) -> str:
    """`url` for people: no user, and no values in its query, which may be signed."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(f"{piece.partition('=')[0]}=..." for piece in parts.query.split("&")) if parts.query else ""
    origin = f"{parts.scheme}://{host}" if parts.scheme else host
    return f"{origin}{parts.path}{'?' + query if query else ''}"


def _port(parts: SplitResult) -> int:
    return parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


def _address(host: str) -> Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0].rstrip("."))
    except ValueError:
        return _old_address(host.rstrip("."))
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _old_address(host: str) -> Address | None:
    """`127.1`, `0x7f000001` and `2130706433` are 127.0.0.1 to every resolver."""
    if not _OLD_ADDRESS.match(host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _is_inner(address: Address | None) -> bool:
    return address is not None and (not address.is_global or _is_nobodys(address))


def _is_nobodys(address: Address | None) -> bool:
    """No registry's neighbour is there: 169.254.169.254 is the cloud's metadata service, 0.0.0.0 is ourselves."""
    if address is None:
        return False
    return address.is_link_local or address.is_unspecified or address.is_multicast or address in _METADATA


def _resolved(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [address for address in (_address(str(entry[4][0])) for entry in found) if address is not None]
