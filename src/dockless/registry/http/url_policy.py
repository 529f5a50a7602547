"""Which URLs a registry may refer a client to, and how URLs are compared and shown."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Union
from urllib.parse import SplitResult, urldefrag, urljoin, urlsplit

from dockless.errors import printable
from dockless.registry.errors import ProtocolError

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
# Scheme, host and port.
Origin = tuple[str, str, int]

_OLD_ADDRESS = re.compile(r"(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]+|[0-9]+)){0,3}\Z")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?\Z")
_LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
# IPv6 addresses that contain an IPv4 address: NAT64 (RFC 6052), 6to4 (RFC 3056), IPv4-compatible (RFC 4291, 2.5.5.1).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
# Metadata services, which hand out a machine's credentials, besides 169.254.169.254: Alibaba's, Oracle's, Amazon's,
# and Azure's WireServer.
_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254", "168.63.129.16")))
DEFAULT_PORTS = {"http": 80, "https": 443}


def split_host(registry: str) -> str:
    """Return the host of `host[:port]`, IPv6 without its brackets."""
    return urlsplit(f"//{registry}").hostname or ""


def is_loopback(host: str) -> bool:
    """Whether a host is localhost, *.localhost (RFC 6761, section 6.3), in 127.0.0.0/8, or ::1."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def origin_of(url: str) -> Origin:
    """Return scheme, host and port: credentials belong to an origin."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), _port(parts)


def check_destination(url: str, registry_url: str, label: str, *, strict: bool = False) -> None:
    """Raise ProtocolError for a URL that a registry at `registry_url` may not refer to. `label` names the URL.

    Not allowed are HTTP instead of HTTPS, a user name, and an address of this machine or of a private network unless
    the registry has one itself. `strict` is for URLs that receive credentials (token realms): a private address must
    be the registry's own, and a name must not resolve to this machine. (A name that resolves to a private address is
    that of a company's own token server.)
    """
    registry = urlsplit(registry_url).netloc
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ProtocolError(
            f"{label} '{printable(url.partition('?')[0], 200)}' of {registry} is not a valid URL"
        ) from None
    shown = f"{label} '{printable(redact(url), 200)}' of {registry}"
    try:
        port = _port(parts)
    except ValueError:
        raise ProtocolError(f"{shown} has an invalid port") from None
    host = (parts.hostname or "").lower()
    # The host that is checked must be the host that is connected to: some URL parsers decode `%31` to 1.
    if parts.scheme not in DEFAULT_PORTS or not (_HOST.match(host) or (":" in host and _address(host))):
        raise ProtocolError(f"{shown} is not an HTTP URL")
    if parts.username is not None or parts.password is not None:
        raise ProtocolError(f"{shown} contains a user name")
    own = origin_of(registry_url)
    if own[0] == "https" and parts.scheme == "http":
        raise ProtocolError(
            f"{shown} downgrades from https to http",
            hint="nothing was sent there; a proxy in front of the registry may have to set X-Forwarded-Proto",
        )
    if (host, port) == own[1:]:
        return
    local = is_loopback(own[1]) or _is_private(_address(own[1]))
    address = _address(host) or (_LOOPBACK if is_loopback(host) and not local and not strict else None)
    if _is_private(address) and not local and not strict:
        # A company's registry, given by name, refers to the company's storage, given by address.
        local = any(_is_private(a) and not a.is_loopback for a in _resolved(own[1])) and not is_loopback(host)
    if _is_private(address) and (strict or not local or _is_never_allowed(address)):
        raise ProtocolError(f"{shown} is an address in a private network", hint="nothing was sent there")
    if strict and address is None:
        # Through /etc/hosts, as kind and compose write it, the registry's name may resolve to this machine too.
        own_addresses = _resolved(own[1])
        is_here = local or bool(own_addresses and all(a.is_loopback for a in own_addresses))
        if any(_is_never_allowed(a) or (a.is_loopback and not is_here) for a in _resolved(host)):
            raise ProtocolError(f"{shown} resolves to an address of this machine", hint="nothing was sent there")


def resolve(base: str, reference: str, label: str) -> str:
    """Return the URL that a Location or Link header refers to, its query unchanged. Raises ProtocolError."""
    try:
        # A fragment is not sent: a query that is appended after it would be lost.
        return urldefrag(urljoin(base, reference)).url
    except ValueError:
        raise ProtocolError(
            f"{label} '{printable(reference.partition('?')[0], 200)}' of {urlsplit(base).netloc} is not a valid URL"
        ) from None


def redact(url: str) -> str:
    """Return `url` for messages: printable, without a user and without the values of its query, which may be signed."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    items = parts.query.split("&") if parts.query else []
    query = "&".join(f"{item.partition('=')[0]}=..." if "=" in item else "..." for item in items)
    origin = f"{parts.scheme}://{host}" if parts.scheme else host
    return printable(f"{origin}{parts.path}{'?' + query if query else ''}", None)


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
    """Parse the old forms of IPv4 addresses: `127.1`, `0x7f000001` and `2130706433` are 127.0.0.1 to every resolver."""
    if not _OLD_ADDRESS.match(host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _is_private(address: Address | None) -> bool:
    return address is not None and (not address.is_global or _is_never_allowed(address))


def _is_never_allowed(address: Address | None) -> bool:
    """Whether a registry can have no service at the address: 169.254.169.254 is a cloud's metadata service."""
    if address is None:
        return False
    return address.is_link_local or address.is_unspecified or address.is_multicast or address in _METADATA


def _resolved(host: str) -> list[Address]:
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [address for address in (_address(str(entry[4][0])) for entry in entries) if address is not None]
