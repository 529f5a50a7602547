"""IP addresses: how they are written, which are private, and which a registry may send a client to.

A check of a URL cannot know which address its name stands for: the name may have another address a moment later. So the
address is checked where the connection is made, and with a proxy, which resolves names itself, by the proxy.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from typing import Union

from dockless.errors import printable
from dockless.registry.errors import ProtocolError

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

_OLD_ADDRESS = re.compile(r"(?:0[xX][0-9a-fA-F]+|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]+|[0-9]+)){0,3}\Z")
# IPv6 addresses that contain an IPv4 address: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), IPv4-compatible (RFC 4291,
# 2.5.5.1).
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
# "This network" (RFC 791): Linux takes 0.0.0.0 for this machine.
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
# Metadata services, which hand out a machine's credentials, besides 169.254.169.254: Alibaba's, Oracle's, Azure's
# WireServer, and in IPv6 those of Amazon, Google, Oracle and Scaleway.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            *("100.100.100.200", "192.0.0.192", "168.63.129.16"),
            *("fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"),
        ),
    )
)


class AddressPolicy:
    """Which addresses a session connects to.

    Everything is allowed for `registry` (host and port), which the user named. Other hosts were named by the registry,
    by an image or by a host in between. They may be in a private network, but not a metadata service, and on this
    machine only if the registry is there too. Everything is also allowed for `hosts`, which the user named, too.

    A host that receives a token request is checked more strictly: if the user named the registry by a loopback address
    or `localhost`, credentials go to no other port of this machine.
    """

    def __init__(self, registry: tuple[str, int | None], *, hosts: Collection[tuple[str, int | None]] = ()) -> None:
        self._host, self._port = registry
        self._hosts = hosts
        self._is_local = is_loopback(self._host)
        self._peers: set[Address] = set()

    @property
    def registry_addresses(self) -> Collection[Address]:
        """The addresses at which this session reached the registry. Empty before, and if a proxy connects to it."""
        return self._peers

    def check(self, host: str, port: int, address: str, *, for_token: bool = False) -> ProtocolError | None:
        """Return the error for a connection to `address`, which `host` stands for; None if it is allowed."""
        if self._is_registry(host, port) or is_named(host, port, self._hosts):
            return None
        parsed = parse_address(address)
        is_allowed = parsed is not None and not is_never_allowed(parsed)
        if is_allowed and parsed is not None and parsed.is_loopback:
            is_allowed = not for_token if self._is_local else is_all_loopback(self._peers)
        if is_allowed:
            return None
        where = "this machine" if parsed is not None and parsed.is_loopback else "a private network"
        return ProtocolError(
            f"{printable(host, 200)} resolves to {printable(address, 100)}, which is an address of {where}",
            hint="no request was sent to this URL: a registry elsewhere cannot refer to that address",
        )

    def connected(self, host: str, port: int, address: str) -> None:
        """Record the address at which a host was reached."""
        parsed = parse_address(address)
        if parsed is not None and self._is_registry(host, port):
            self._peers.add(parsed)

    def _is_registry(self, host: str, port: int) -> bool:
        return is_named(host, port, ((self._host, self._port),))


def is_named(host: str, port: int, hosts: Collection[tuple[str, int | None]]) -> bool:
    """Return whether a host and port are among `hosts`. Without a port, a host stands for its ports 80 and 443."""
    name = host.lower()
    return (name, port) in hosts or (port in (80, 443) and (name, None) in hosts)


def parse_address(host: str) -> Address | None:
    """Return the address that a host is, or the IPv4 address that is within it; None for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0].rstrip("."))
    except ValueError:
        return _old_address(host.rstrip("."))
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if any(address in network for network in _NAT64) or (address in _COMPATIBLE and int(address) > 1):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_loopback(host: str) -> bool:
    """Return whether a host is localhost, *.localhost (RFC 6761, section 6.3), in 127.0.0.0/8, or ::1."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = parse_address(host)
    return address is not None and address.is_loopback


def is_all_loopback(addresses: Collection[Address]) -> bool:
    """Return whether there are addresses, and all are of this machine."""
    return bool(addresses) and all(address.is_loopback for address in addresses)


def is_private(address: Address) -> bool:
    """Return whether an address is of this machine, of a private network, or never allowed."""
    return not address.is_global or is_never_allowed(address)


def is_never_allowed(address: Address) -> bool:
    """Return whether a registry can have no service at the address: 169.254.169.254 is a cloud's metadata service."""
    return (
        address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address in _METADATA
        or (isinstance(address, ipaddress.IPv4Address) and address in _THIS_NETWORK)
    )


def resolve_host(host: str) -> list[Address]:
    """Return the addresses that a name has now; none if it cannot be resolved."""
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [address for address in (parse_address(str(entry[4][0])) for entry in entries) if address is not None]


def _old_address(host: str) -> Address | None:
    """Parse the old forms of IPv4 addresses: `127.1`, `0x7f000001` and `2130706433` are 127.0.0.1 to every resolver."""
    if not _OLD_ADDRESS.match(host):
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
