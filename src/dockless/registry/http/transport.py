"""One HTTP request and its answer, over pooled connections; nothing is retried, followed, decoded or authorised."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from dockless._concurrency import Stopped
from dockless.errors import DocklessError, RegistryError, printable
from dockless.registry.clock import Clock
from dockless.registry.errors import ConnectionFailed, Unexpected
from dockless.registry.http.connection import BLOCK
from dockless.registry.http.error_mapping import wrapped
from dockless.registry.http.pool import Pool, Reply
from dockless.registry.http.proxies import choose_proxy
from dockless.registry.http.tls import Trust
from dockless.registry.http.url_policy import redact
from dockless.registry.retry import parse_retry_after

logger = logging.getLogger("dockless.registry")

# Seconds for each block that is sent, and for each wait for something to come.
SEND_TIMEOUT = 60.0
READ_TIMEOUT = 60.0
# More is not read away for the sake of using the connection again.
_MOST_DRAINED = 64 * 1024
# Seconds.
_DRAIN_TIMEOUT = 1.0


class Answer:
    """An answer whose body is still on the wire. Read it or close it."""

    def __init__(self, reply: Reply, method: str, url: str, clock: Clock, sent: tuple[Any, ...]) -> None:
        self._reply = reply
        self._clock = clock
        # What `secrets_sent` looks into.
        self._sent = sent
        self.method = method
        self.url = url
        self.status = reply.status

    def header(self, name: str) -> str:
        """The header's value, or empty; different ones as one (RFC 9110, section 5.3).

        A proxy that says all twice means it once: of `Location` the list would be no address.
        """
        return ", ".join(dict.fromkeys(self._reply.values(name)))

    def headers(self, name: str) -> list[str]:
        """All values of a header that may stand several times."""
        return self._reply.values(name)

    @property
    def retry_after(self) -> float | None:
        value = self.header("Retry-After")
        return parse_retry_after(value, self._clock) if value else None

    @property
    def length(self) -> int | None:
        """The Content-Length in bytes, where there is a usable one."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def read(self, limit: int, what: str) -> bytes:
        """The whole body, at most `limit` bytes. Raises RegistryError."""
        length = self.length
        if length is not None and length > limit and self.method != "HEAD":
            self._reply.abandon()
            raise Unexpected(f"{what} at {redact(self.url)} is too large", cause=f"{length} bytes, more than {limit}")
        body = b"".join(self._pieces(limit + 1))
        if len(body) > limit:
            self._reply.abandon()
            raise Unexpected(f"{what} at {redact(self.url)} is too large", cause=f"more than {limit} bytes")
        return body

    def read_start(self, limit: int) -> bytes:
        """The first `limit` bytes of the body, or what came before it broke: for errors, which must be told."""
        found = []
        try:
            for piece in self._pieces(limit if self.method != "HEAD" else 0):
                found.append(piece)
        except RegistryError:
            pass
        finally:
            self.close()
        return b"".join(found)

    def secrets(self, *, signed: bool = False) -> list[str]:
        """What was sent and must not be shown, whoever says it back; of a `signed` URL the values of its query too."""
        from dockless.registry.http.redaction import query_values, secrets_sent

        return [*secrets_sent(*self._sent), *(query_values(self.url) if signed else ())]

    def read_some(self, n: int) -> bytes:
        """Up to `n` bytes as they came over the wire; empty at the end. Raises RegistryError."""
        encoding = self.header("Content-Encoding").lower()
        if encoding not in ("", "identity"):
            self._reply.abandon()
            raise Unexpected(f"{redact(self.url)} answered in the encoding {printable(encoding, 50)}, unasked")
        handled = sys.exc_info()[1]
        try:
            return self._reply.read(n)
        except Exception as error:
            self._reply.abandon()
            raise wrapped(error, self.method, self.url, handled=handled) from error

    def close(self) -> None:
        """Gives the connection back where little or nothing of the body is left, and that is there."""
        length = self.length
        none = self.method == "HEAD" or self.status in (204, 304)
        if none or (length is not None and length <= _MOST_DRAINED):
            self._reply.drain(_DRAIN_TIMEOUT)
        else:
            self._reply.abandon()

    def _pieces(self, most: int) -> Iterator[bytes]:
        while most and (piece := self.read_some(min(BLOCK, most))):
            yield piece
            most -= len(piece)


# Of each thread: how many of its requests are under way, at whatever registries.
_under_way = threading.local()


class _Slots:
    """At most `count` threads at a time. Whoever has a slot, of any registry, needs no second: it sends what it reads.

    Else as many uploads as there are slots, each waiting for one to read its source, would wait for ever.
    """

    def __init__(self, count: int) -> None:
        self._free = threading.BoundedSemaphore(count)

    def __enter__(self) -> None:
        depth = getattr(_under_way, "depth", 0)
        if not depth:
            self._free.acquire()
        _under_way.depth = depth + 1

    def __exit__(self, *_: object) -> None:
        _under_way.depth -= 1
        if not _under_way.depth:
            self._free.release()


class Transport:
    """Sends requests to one registry and to where it sends us. Safe for threads; at most `jobs` in flight."""

    def __init__(
        self,
        *,
        jobs: int,
        trust: Trust,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        self._clock = clock
        self._trust = trust
        self._environ = environ
        self._slots = _Slots(jobs)
        self._pool = Pool(trust.context, clock, most=2 * jobs + 2)

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any = None,
        *,
        read_timeout: float = READ_TIMEOUT,
        limited: bool = True,
    ) -> Answer:
        """One request. `body` is bytes, or has `read` and `__len__`. Raises RegistryError when there is no answer.

        `read_timeout` is for the answer's begin and for each piece of it. The slot is given back when the answer's
        head is there: bodies are read by whoever asked. Without `limited` none is waited for: a token is awaited by
        those who have all the slots.
        """
        proxy = choose_proxy(url, self._environ)
        sent = {
            "User-Agent": _user_agent(),
            "Accept-Encoding": "identity",
            **headers,
        }
        if body is not None:
            sent["Content-Length"] = str(len(body))
        with self._slots if limited else contextlib.nullcontext():
            try:
                return self._sent(method, url, sent, body, read_timeout, proxy)
            except ConnectionFailed as error:
                if error.reason != "certificate" or error.of_source or not self._trust.widen():
                    raise
            # There was no connection: of the body nothing has been read.
            return self._sent(method, url, sent, body, read_timeout, proxy)

    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, read_timeout: float, proxy: str | None
    ) -> Answer:
        handled = sys.exc_info()[1]
        logger.debug("%s %s", method, redact(url))
        try:
            reply = self._pool.request(method, url, headers, body, timeouts=(SEND_TIMEOUT, read_timeout), proxy=proxy)
        except (DocklessError, Stopped):
            # Of the body, which is read while it is sent.
            raise
        except Exception as error:
            raise wrapped(error, method, url, proxy, handled=handled) from error
        logger.debug("%s %s: %d", method, redact(url), reply.status)
        return Answer(reply, method, url, self._clock, (headers, body, proxy))

    def close(self) -> None:
        self._pool.close()


def _user_agent() -> str:
    from dockless import __version__

    return f"dockless/{__version__}"
