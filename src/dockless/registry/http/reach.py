"""A TCP connection to a host of several addresses, some of which may be silent (RFC 8305, "Happy Eyeballs")."""

from __future__ import annotations

import os
import selectors
import socket
import time
from itertools import chain, zip_longest
from typing import Any

# Seconds until the next address is tried beside one that does not answer (RFC 8305, section 5: 0.25 recommended).
_STAGGER = 0.25


def reach(host: str, port: int, seconds: float) -> socket.socket:
    """A connection to the address of `host` that answers first; all of them together have `seconds`.

    One after the other each would have that long: where IPv6 leads nowhere, every connection would wait for it first.
    The socket has `seconds` as its timeout. Raises OSError, TimeoutError where no address answered in time.
    """
    # Of a name in bytes nothing has to be made first: that of a string costs 3 ms, for tables of Unicode.
    name: Any = host.encode("ascii")
    addresses = iter(_by_turns(socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)))
    deadline = time.monotonic() + seconds
    last: OSError | None = None
    with selectors.DefaultSelector() as begun:
        try:
            while True:
                address = next(addresses, None)
                if address is not None:
                    try:
                        begun.register(_begin(address), selectors.EVENT_WRITE)
                    except OSError as error:
                        last = _telling(last, error)
                        continue
                elif not begun.get_map():
                    raise last or OSError(f"{host} has no address")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise last or TimeoutError("no address answered in time")
                for key, _ in begun.select(left if address is None else min(left, _STAGGER)):
                    connected: Any = key.fileobj
                    begun.unregister(connected)
                    failed = connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not failed:
                        connected.settimeout(seconds)
                        return connected  # type: ignore[no-any-return]
                    connected.close()
                    last = _telling(last, OSError(failed, os.strerror(failed)))
        finally:
            for key in begun.get_map().values():
                key.fileobj.close()  # type: ignore[union-attr]


def _telling(one: OSError | None, other: OSError) -> OSError:
    """Which to raise: a host that refuses is there, whatever its other addresses are."""
    return one if isinstance(one, ConnectionRefusedError) else other


def _begin(address: tuple[Any, ...]) -> socket.socket:
    """A socket that is about to be connected, or failed: it can be written to then. Raises OSError."""
    family, kind, protocol, _, place = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.connect(place)
    except BlockingIOError:
        pass
    except BaseException:
        sock.close()
        raise
    return sock


def _by_turns(addresses: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """As the system orders them, but of each family in turn (RFC 8305, section 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for address in chain(*zip_longest(first, others)) if address is not None]
