"""Responses of a registry, of its token server, or of the stores that they redirect to."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from dockless.errors import RegistryError
from dockless.registry.clock import Clock
from dockless.registry.errors import ProtocolError, RegistryConnectionError, ResponseError
from dockless.registry.http.content_encoding import decoded
from dockless.registry.http.error_body import hint_for, parse_error_body
from dockless.registry.http.error_mapping import translate
from dockless.registry.http.redaction import hide, query_values, secrets_sent
from dockless.registry.http.url_policy import redact

if TYPE_CHECKING:
    from dockless.registry.http.adapter import Response

Error = TypeVar("Error", bound=ResponseError)

_BLOCK_SIZE = 1 << 20
# To reuse a connection, at most this many bytes are read, for at most this many seconds.
_MAX_DRAINED = 64 * 1024
_DRAIN_TIMEOUT = 1.0
# Seconds for a document or an error: 4 MiB in this time are 7 KiB per second.
_MAX_DOCUMENT_SECONDS = 600.0


class HttpResponse:
    """A response whose body is read from the network on demand. Read the body to its end, or close the response.

    Reading raises RegistryConnectionError for a connection that breaks or is too slow.
    """

    def __init__(self, response: Response, method: str, url: str, clock: Clock, proxy: str | None) -> None:
        self._response = response
        self._raw: Any = response.raw
        self._clock = clock
        self._proxy = proxy
        self._ended = False
        self.method = method
        self.url = url
        self.status: int = response.status_code

    def header(self, name: str) -> str:
        """Return the header's value, or an empty string. Different values are joined (RFC 9110, section 5.3).

        Equal values are not repeated: some proxies send each header twice, and a Location would be no URL.
        """
        return ", ".join(dict.fromkeys(self.headers(name)))

    def headers(self, name: str) -> list[str]:
        """Return all values of a header that may occur several times."""
        return [value.strip() for value in self._raw.headers.getlist(name)]

    @property
    def retry_after(self) -> float | None:
        """Seconds from the Retry-After header, if the header is usable."""
        return parse_retry_after(self.header("Retry-After"), self._clock)

    @property
    def encoding(self) -> str:
        """The Content-Encoding, which was not requested and may be wrong."""
        return self.header("Content-Encoding")

    @property
    def length(self) -> int | None:
        """The Content-Length in bytes, if the header is usable."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None

    def read(self, limit: int, label: str) -> bytes:
        """Return the whole document. Raises RegistryError, also for a document of more than `limit` bytes.

        A document that was compressed on its way is decompressed.
        """
        length = self.length
        if length is not None and length > limit and self.method != "HEAD":
            self.abandon()
            raise ProtocolError(
                f"{label} at {redact(self.url)} is too large", cause=f"{length} bytes, more than {limit}"
            )
        body = b"".join(self._blocks(limit + 1))
        if len(body) <= limit:
            body = decoded(body, self.encoding, limit + 1)
        if len(body) > limit:
            self.abandon()
            raise ProtocolError(f"{label} at {redact(self.url)} is too large", cause=f"more than {limit} bytes")
        return body

    def read_start(self, limit: int) -> bytes:
        """Return up to `limit` bytes of the body, fewer if reading fails: for error reports."""
        blocks = []
        try:
            for block in self._blocks(limit if self.method != "HEAD" else 0):
                blocks.append(block)
        except RegistryError:
            pass
        finally:
            self.close()
        return decoded(b"".join(blocks), self.encoding, limit)

    def read_some(self, n: int) -> bytes:
        """Return up to `n` bytes as they arrive; none at the end of the body. Raises RegistryError.

        The bytes are not decoded, whatever the Content-Encoding is.
        """
        if self._ended:
            return b""
        handled = sys.exc_info()[1]
        try:
            data: bytes = self._raw.read1(n, decode_content=False)
        except Exception as error:
            self.abandon()
            translated = translate(error, self.method, self.url, handled=handled)
            raise translated from translated.__cause__
        self._ended = not data
        return data

    def _secrets(self, *, signed: bool) -> list[str]:
        """Return the secrets of the request, and with `signed` the values of its query."""
        request = self._response.request
        secrets = secrets_sent(request.headers, request.body, self._proxy)
        return secrets + (query_values(self.url) if signed else [])

    def close(self) -> None:
        """End the response; the connection is reused when little of the body is left and that arrives soon."""
        length = self.length
        has_no_body = self.method == "HEAD" or self.status in (204, 304)
        if has_no_body or (length is not None and length <= _MAX_DRAINED):
            self.drain(_DRAIN_TIMEOUT)
        else:
            self.abandon()

    def drain(self, timeout: float) -> None:
        """Read the rest of the body so that the connection can be reused; close it after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self._ended:
            connection = self._raw.connection
            if connection is None:
                # The end was reached, and the connection is back in its pool.
                self._ended = True
                return
            left = deadline - time.monotonic()
            if connection.sock is None or left <= 0:
                self.abandon()
                return
            connection.sock.settimeout(left)
            try:
                self._ended = not self._raw.read1(_MAX_DRAINED, decode_content=False)
            except Exception:
                self.abandon()

    def abandon(self) -> None:
        """Close the connection, unless the whole body was read."""
        if not self._ended:
            self._ended = True
            self._response.close()

    def _blocks(self, limit: int) -> Iterator[bytes]:
        deadline = self._clock.monotonic() + _MAX_DOCUMENT_SECONDS
        while limit and (block := self.read_some(min(_BLOCK_SIZE, limit))):
            yield block
            limit -= len(block)
            if self._clock.monotonic() > deadline:
                self.abandon()
                raise RegistryConnectionError(
                    f"{self.method} {redact(self.url)}",
                    cause=f"the response took more than {_MAX_DOCUMENT_SECONDS:.0f} s",
                    hint="the registry, a proxy or the network has a problem; try again later",
                    method=self.method,
                )


def parse_retry_after(text: str, clock: Clock) -> float | None:
    """Return the seconds to wait, from a Retry-After header (RFC 9110, section 10.2.3); None if it is not usable."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        seconds = parsedate_to_datetime(text).timestamp() - clock.now()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return seconds if seconds > 0 else None


def without_secrets(response: HttpResponse, text: str) -> str:
    """Return a text of a response without the secrets of the request, which the response may repeat."""
    return hide(text, response._secrets(signed=False))


def response_error(
    response: HttpResponse,
    kind: type[Error],
    *,
    url: str = "",
    hint: str = "",
    signed: bool = False,
    limit: int = 64 * 1024,
) -> Error:
    """Return the error for a response, of which up to `limit` bytes are read. No secret of the request is in it.

    `url` is named instead of that of the request. `hint` says what to do; empty: what is known about the status and the
    codes in general. With `signed`, the values of the URL's query are secrets too.
    """
    body = response.read_start(limit)
    # Most error responses have no body: 404 to HEAD.
    codes, message = parse_error_body(body, response._secrets(signed=signed) if body else [])
    return kind(
        response.method,
        redact(url or response.url),
        response.status,
        cause=message,
        hint=hint or hint_for(response.status, codes, message),
        codes=codes,
        body=body,
        retry_after=response.retry_after,
    )
