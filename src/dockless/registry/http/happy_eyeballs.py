"""Connects to a host with several addresses, some of which may not respond (RFC 8305, "Happy Eyeballs")."""

from __future__ import annotations

import os
import selectors
import socket
import time
from itertools import chain, zip_longest
from typing import Any, Callable

# Seconds after which the next address is tried in parallel (RFC 8305, section 5, recommends 0.25).
_ATTEMPT_DELAY = 0.25


def connect(
    host: str, port: int, timeout: float, refusal_of: Callable[[str], Exception | None] = lambda address: None
) -> socket.socket:
    """Return a TCP connection to the address of `host` that accepts first.

    All addresses together have `timeout` seconds; each would have that long if they were tried one after the other,
    and where IPv6 is broken every connection would wait for it first. The socket gets `timeout` as its own timeout.
    Raises OSError; TimeoutError when no address accepts in time. Addresses for which `refusal_of` returns an exception
    are left out; if there are no others, the exception is raised.
    """
    # A name as bytes avoids the import of the idna codec's tables, which takes 3 ms.
    name: Any = host.encode("ascii")
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    refusals = [refusal_of(str(address[4][0])) for address in found]
    allowed = [address for address, refusal in zip(found, refusals) if refusal is None]
    if not allowed:
        for refusal in filter(None, refusals):
            raise refusal
    addresses = iter(_interleaved(allowed))
    deadline = time.monotonic() + timeout
    failure: OSError | None = None
    with selectors.DefaultSelector() as pending:
        try:
            while True:
                address = next(addresses, None)
                if address is not None:
                    try:
                        pending.register(_start(address), selectors.EVENT_WRITE)
                    except OSError as error:
                        failure = _more_specific(failure, error)
                        continue
                elif not pending.get_map():
                    raise failure or OSError(f"{host} has no address")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise failure or TimeoutError("no address accepted a connection in time")
                for key, _ in pending.select(left if address is None else min(left, _ATTEMPT_DELAY)):
                    sock: Any = key.fileobj
                    pending.unregister(sock)
                    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    if not code:
                        sock.settimeout(timeout)
                        return sock  # type: ignore[no-any-return]
                    sock.close()
                    failure = _more_specific(failure, OSError(code, os.strerror(code)))
        finally:
            for key in pending.get_map().values():
                key.fileobj.close()  # type: ignore[union-attr]


def _more_specific(first: OSError | None, second: OSError) -> OSError:
    """Return the error to report: a host that refuses on one address exists, whatever its other addresses do."""
    return first if isinstance(first, ConnectionRefusedError) else second


def _start(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket that is connecting; it becomes writable when it has connected or failed. Raises OSError."""
    family, kind, protocol, _, target = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        sock.connect(target)
    except BlockingIOError:
        pass
    except BaseException:
        sock.close()
        raise
    return sock


def _interleaved(addresses: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the addresses in the system's order, with the address families alternating (RFC 8305, section 4)."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for address in chain(*zip_longest(first, others)) if address is not None]
