"""`dockless serve`: the registry in the foreground, until a signal stops it."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

from dockless.errors import InvalidValueError, RegistryError, printable
from dockless.testing.access import Auth
from dockless.testing.faults import Fault
from dockless.testing.local_requests import is_loopback
from dockless.testing.registry import MEMORY, Registry

# Bytes of content in memory, 4 GiB.
_MAX_MEMORY = 4 << 30
_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})\Z")
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(
    listen: str = "127.0.0.1:5000",
    data: str | Path | None = None,
    profile: str = "strict",
    *,
    auth: Auth = None,
    faults: Sequence[Fault] = (),
    repositories: Sequence[str] = (),
    any_address: bool = False,
    announce: Callable[[str, str], None] | None = None,
) -> int:
    """Serve until SIGINT or SIGTERM, and return the exit status 130 or 143. Call it in the main thread.

    `listen` is `HOST:PORT`; port 0 selects a free port, which is printed. `data` is the directory of the content;
    None: memory, at most 4 GiB. The registry has no protection except `auth`. Therefore, unless `any_address`, `listen`
    must be a loopback address, and requests that may come from a web page are refused with 403: those with an Origin
    header, and those whose Host is neither a loopback name nor the address. No requests are kept. `announce` is called
    with the URL and the storage, instead of a line on stdout. Raises InvalidValueError for invalid arguments,
    RegistryError if it cannot listen.
    """
    address, port = parse_address(listen)
    if not any_address and not is_loopback(address):
        raise InvalidValueError(
            f"cannot listen on {address}",
            cause="every machine that can reach that address could push",
            hint="listen on 127.0.0.1, or allow it with --any-address",
        )
    registry = Registry(
        data if data is not None else MEMORY,
        profile,
        auth=auth,
        faults=faults,
        address=address,
        port=port,
        repositories=repositories,
        local_only=not any_address,
        max_requests=0,
        max_memory=_MAX_MEMORY,
    )
    with _signals() as arrived:
        try:
            try:
                registry.start()
            except OSError as error:
                raise RegistryError(
                    f"cannot listen on {listen}",
                    cause=os.strerror(error.errno) if error.errno else str(error),
                    hint="choose another port; 0 selects a free one",
                ) from None
            where = f"in {data}" if data is not None else "in memory"
            (announce or _print)(registry.url, where)
            number = 0
            while number not in _SIGNALS:
                number = arrived.recv(1)[0]
            return 128 + number
        finally:
            registry.close()


def _print(url: str, where: str) -> None:
    print(printable(f"dockless: serving a registry on {url} ({where})", None), flush=True)


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Yield a socket that receives the number of each signal as a byte. SIGINT and SIGTERM have no other effect.

    A signal that arrives just before signal.pause() would not end the pause.
    """
    arrived, notify = socket.socketpair()
    with arrived, notify:
        notify.setblocking(False)
        descriptor = signal.set_wakeup_fd(notify.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
        try:
            yield arrived
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def parse_address(listen: str) -> tuple[str, int]:
    """Return the host and the port of `HOST:PORT`. Raises InvalidValueError."""
    found = _LISTEN.match(listen)
    if not found or int(found["port"]) > 65535:
        raise InvalidValueError(
            f"invalid address {listen!r}",
            hint="write HOST:PORT with a port from 0 to 65535, such as 127.0.0.1:5000 or [::1]:5000",
        )
    return found["six"] or found["host"] or "127.0.0.1", int(found["port"])
