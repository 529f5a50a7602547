"""Which URLs a registry may refer a client to, and how URLs are compared and shown."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import SplitResult, unquote, urldefrag, urljoin, urlsplit

from dockless.errors import printable
from dockless.registry.errors import ProtocolError
from dockless.registry.http.addresses import (
    Address,
    is_all_loopback,
    is_loopback,
    is_named,
    is_never_allowed,
    is_private,
    parse_address,
    resolve_host,
)

# Scheme, host and port.
Origin = tuple[str, str, int]

_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?\.?\Z")
_MAX_DECODINGS = 4
DEFAULT_PORTS = {"http": 80, "https": 443}


def split_host(registry: str) -> str:
    """Return the host of `host[:port]`, IPv6 without its brackets."""
    return urlsplit(f"//{registry}").hostname or ""


def split_registry(registry: str) -> tuple[str, int | None]:
    """Return the host and the port of `host[:port]`; None if it has none."""
    parts = urlsplit(f"//{registry}")
    return parts.hostname or "", parts.port


def origin_of(url: str) -> Origin:
    """Return scheme, host and port: credentials belong to an origin."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), _port(parts)


def check_destination(
    url: str,
    registry_url: str,
    label: str,
    *,
    strict: bool = False,
    registry_addresses: Collection[Address] | None = None,
    hosts: Collection[tuple[str, int | None]] = (),
) -> None:
    """Raise ProtocolError for a URL that a registry at `registry_url` may not refer to. `label` names the URL.

    If `registry_url` is empty, somebody else refers to the URL, who may not refer to private addresses.

    Not allowed are HTTP instead of HTTPS, a user name, and an address of this machine or of a private network unless
    the registry has one itself. `strict` is for URLs that receive credentials (token realms): a private address must
    be the registry's own. What names stand for is checked by `AddressPolicy` when they are connected to.

    `registry_addresses` are those of the registry; None or none: they are looked up. For `hosts`, which the user named,
    private addresses are allowed.
    """
    registry = urlsplit(registry_url).netloc
    owner = f" of {registry}" if registry else ""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ProtocolError(f"{label} '{printable(url.partition('?')[0], 200)}'{owner} is not a valid URL") from None
    shown = f"{label} '{printable(redact(url), 200)}'{owner}"
    try:
        port = _port(parts)
    except ValueError:
        raise ProtocolError(f"{shown} has an invalid port") from None
    host = (parts.hostname or "").lower()
    # The host that is checked must be the host that is connected to: some URL parsers decode `%31` to 1.
    if parts.scheme not in DEFAULT_PORTS or not (_HOST.match(host) or (":" in host and parse_address(host))):
        raise ProtocolError(f"{shown} is not an HTTP URL")
    if parts.username is not None or parts.password is not None:
        raise ProtocolError(f"{shown} contains a user name")
    own = origin_of(registry_url)
    if own[0] == "https" and parts.scheme == "http":
        raise ProtocolError(
            f"{shown} downgrades from https to http",
            hint="no request was sent to this URL; a proxy in front of the registry may have to set X-Forwarded-Proto",
        )
    if (host, port) == own[1:] or is_named(host, port, hosts):
        return
    if not _is_allowed(host, own[1], strict, registry_addresses):
        raise ProtocolError(f"{shown} is an address in a private network", hint="no request was sent to this URL")


def resolve(base: str, reference: str, label: str) -> str:
    """Return the URL that a Location or Link header refers to, its query unchanged. Raises ProtocolError."""
    try:
        # A fragment is not sent: a query that is appended after it would be lost.
        return urldefrag(urljoin(base, reference)).url
    except ValueError:
        raise ProtocolError(
            f"{label} '{printable(reference.partition('?')[0], 200)}' of {urlsplit(base).netloc} is not a valid URL"
        ) from None


def is_below(url: str, path: str) -> bool:
    """Return whether the path of a URL is below `path`, also for a server that decodes and normalizes paths.

    `/a/..`, `/a/%2e%2e` and `/a/..;/` lead out of /a. A path that is ambiguous is not below.
    """
    segments = _segments(url)
    above = [segment for segment in path.split("/") if segment]
    return segments is not None and segments[: len(above)] == above


def is_of_repository(url: str, repository: str) -> bool:
    """Return whether the path of a URL belongs to a repository or is outside of `/v2/`.

    The empty repository stands for /v2/ itself. A path that is ambiguous belongs to no repository.
    """
    segments = _segments(url)
    if segments is None:
        return False
    folded = [segment.lower() for segment in segments]
    if "v2" not in folded:
        return True
    # Some registries have the API below other paths.
    rest = segments[folded.index("v2") + 1 :]
    names = repository.split("/") if repository else []
    return rest[: len(names)] == names if names else not rest


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


def _is_allowed(host: str, own_host: str, strict: bool, own_addresses: Collection[Address] | None) -> bool:
    """Return whether a registry at `own_host` may refer to another port of `host`, or to another host."""
    address = parse_address(host)
    if not own_host:
        return not is_loopback(host) and (address is None or not is_private(address))
    if is_loopback(host):
        return not strict and (is_loopback(own_host) or is_all_loopback(own_addresses or resolve_host(own_host)))
    if address is None or not is_private(address):
        return True
    if strict or is_never_allowed(address):
        return False
    # A company's registry, given by name, refers to the company's storage, given by address.
    own = parse_address(own_host)
    return any(map(is_private, [own] if own else own_addresses or resolve_host(own_host)))


def _segments(url: str) -> list[str] | None:
    """Return the parts of a URL's path, decoded as often as it is encoded; None for an ambiguous path."""
    path = urlsplit(url).path
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    else:
        return None
    # Some servers take `..;x` for `..`, and a backslash for a slash.
    segments = [segment.partition(";")[0] for segment in path.replace("\\", "/").split("/")]
    if any(segment in (".", "..") or not segment.isprintable() for segment in segments):
        return None
    return [segment for segment in segments if segment]
