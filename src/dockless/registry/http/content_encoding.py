"""Bodies with a Content-Encoding (RFC 9110, section 8.4), which no request asks for.

Some stores name an encoding that they did not apply, and some proxies compress what they forward. The header proves
nothing: the bytes tell whether they are encoded, and the digest whether the result is right.
"""

from __future__ import annotations

import zlib
from typing import Any

# How zlib reads the encoding, and the first bytes of a body that has the encoding.
_WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
_GZIP = b"\x1f\x8b"
_FIRST = {31: (_GZIP,), 15: (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")}
# Bytes of a body that show whether it is encoded.
START = 512
_BLOCK_SIZE = 64 * 1024


def decoder_for(encoding: str, start: bytes, *, is_gzip: bool = False) -> Any:
    """Return a decompressor (zlib's) for a body that begins with `start`; None if the body is not encoded.

    `encoding` is the Content-Encoding. `is_gzip`: the decoded content is compressed with gzip itself, as most layers.
    """
    window = _WINDOWS.get(encoding.strip().lower(), 0)
    if not window or not start.startswith(_FIRST[window]):
        return None
    if is_gzip and window == 31:
        # A layer as it is, or compressed once more.
        try:
            inner = zlib.decompressobj(window).decompress(start, START)
        except zlib.error:
            return None
        if not inner.startswith(_GZIP):
            return None
    return zlib.decompressobj(window)


def decoded(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a document without its encoding, at most `limit` bytes; `body` itself if it is not encoded."""
    decoder = decoder_for(encoding, body)
    if decoder is None:
        return body
    try:
        content: bytes = decoder.decompress(body, limit)
    except zlib.error:
        return body
    return content


class DecodedBody:
    """The body of `response`, without its encoding. `start` are the bytes of it that were read already.

    A body that is not a valid encoding ends early.
    """

    def __init__(self, response: Any, start: bytes, decoder: Any) -> None:
        self._response = response
        self._received = start
        self._decoder = decoder

    def read_some(self, n: int) -> bytes:
        """Return up to `n` bytes; none at the end of the body. Raises RegistryError."""
        if self._decoder is None:
            data, self._received = self._received[:n], self._received[n:]
            return data or self._response.read_some(n)
        while not self._decoder.eof:
            received = self._received or self._response.read_some(_BLOCK_SIZE)
            if not received:
                break
            try:
                content: bytes = self._decoder.decompress(received, n)
            except zlib.error:
                break
            self._received = self._decoder.unconsumed_tail
            if content:
                return content
        return b""

    def close(self) -> None:
        """End the response."""
        self._response.close()
