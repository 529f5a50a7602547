"""Reads blobs from a registry: verified to the last byte, and resumed where a connection was interrupted."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

from dockless._units import format_count
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.client import RegistryClient
from dockless.registry.errors import DamagedBlobError, ProtocolError, RegistryError, ResponseError
from dockless.registry.http.content_encoding import START, DecodedBody, decoder_for
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.web_page import check_no_page, describe_page, is_page

T = TypeVar("T")

_BUFFER_SIZE = 1 << 20
# Bytes of a partial response, unless fewer are left. Each may take a minute to begin: with fewer, a transfer could be
# slower than the minimum rate.
_MIN_PART = 64 * 1024
# A registry that does not support ranges may send the bytes of a blob again at most so many times in all.
_MAX_REPEATS = 2
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:[0-9]{1,18}|\*)\Z")


class RegistryBlobSource:
    """The blobs of one repository, as a blob source."""

    def __init__(self, client: RegistryClient, repository: str) -> None:
        self._client = client
        self._repository = repository
        # Blobs that were damaged when they were read before.
        self._damaged: set[Digest] = set()

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Return a reader of a blob or manifest, which verifies when it is read to the end. Raises RegistryError."""
        if descriptor.media_type in media_types.DOCUMENTS:
            return io.BytesIO(self._client.get_manifest(self._repository, descriptor.digest).raw)
        reader = _BlobReader(self._client, self._repository, descriptor, self._damaged)
        return io.BufferedReader(reader, _BUFFER_SIZE)


class _BlobReader(io.RawIOBase):
    """The bytes of a blob. After a seek they are not verified: the caller has to verify the blob."""

    def __init__(self, client: RegistryClient, repository: str, descriptor: Descriptor, damaged: set[Digest]) -> None:
        self._client = client
        self._repository = repository
        self._descriptor = descriptor
        self._label = f"the blob {descriptor.digest} of {client.registry}/{repository}"
        self._damaged = damaged
        self._attempts = client.retrier.attempts()
        self._hash = hashlib.sha256()
        self._is_hashed = True
        self._position = 0
        # Where the last progress was counted.
        self._progress = 0
        self._response: HttpResponse | DecodedBody | None = None
        self._response_end = 0
        # Whether ranges are answered wrongly.
        self._is_whole = False
        # Bytes that may be received although they were received before.
        self._repeatable = _MAX_REPEATS * descriptor.size + _BUFFER_SIZE
        # The first bytes of the last response that began with the blob's first byte, for errors.
        self._start = b""
        # A missing blob is reported when it is opened, not in the middle of an upload.
        self._repeat(self._connect)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or not 0 <= offset <= self._descriptor.size:
            raise io.UnsupportedOperation("only offsets from the start, within the blob, are supported")
        if offset != self._position:
            self._disconnect()
            # The bytes before the offset are skipped if ranges are not supported.
            self._repeatable += offset
            self._position = self._progress = offset
            self._is_hashed = False
        return offset

    def readinto(self, buffer: Any) -> int:
        size = self._descriptor.size
        if self._position == size:
            return 0
        view = memoryview(buffer).cast("B")
        data = self._repeat(lambda: self._read(min(len(view), size - self._position)))
        view[: len(data)] = data
        if not self._position:
            self._start = data[:_MIN_PART]
        if self._is_hashed:
            self._hash.update(data)
        self._position += len(data)
        self._attempts.moved(len(data))
        if self._position - self._progress >= _BUFFER_SIZE:
            self._progress = self._position
            self._attempts.progressed()
        if self._position == size and self._is_hashed:
            self._verify()
        return len(data)

    def close(self) -> None:
        self._disconnect()
        super().close()

    def _repeat(self, operation: Callable[[], T]) -> T:
        # An upload that reads this blob has a limit of its own.
        with self._attempts.limit(is_nested=False):
            while True:
                try:
                    return operation()
                except RegistryError as error:
                    self._disconnect()
                    self._attempts.wait(error)

    def _read(self, n: int) -> bytes:
        if self._response is not None and self._position == self._response_end:
            self._disconnect()
        response = self._response or self._connect()
        data = response.read_some(n)
        if not data:
            raise self._truncated()
        return data

    def _connect(self) -> HttpResponse | DecodedBody:
        """Request the rest of the blob, and check that the response is the rest."""
        digest, size = self._descriptor.digest, self._descriptor.size
        try:
            response = self._client.get_blob(self._repository, digest, 0 if self._is_whole else self._position)
        except ResponseError as error:
            if error.status != 416 or not self._position:
                raise
            # A store that does not support ranges, or not this one.
            response = self._client.get_blob(self._repository, digest)
        start, end = 0, size
        if response.status == 206:
            match = _CONTENT_RANGE.match(response.header("Content-Range"))
            end = int(match[2]) + 1 if match else 0
            # Some registries send less at a time than was requested.
            is_part = end == size or self._position + _MIN_PART <= end < size
            is_valid = match and int(match[1]) == self._position and is_part
            if not is_valid or response.length not in (None, end - self._position):
                response.close()
                # The next attempt asks for the whole blob, and skips what was read.
                self._is_whole = True
                raise ProtocolError(f"{self._label} was sent in another range than requested", reason="wrong range")
            start = self._position
        body = self._decoded(response) if response.status == 200 and response.length != size else response
        self._response, self._response_end = body, end
        skip = self._position - start
        while skip:
            # Ranges are not supported: the bytes that were read already are received again.
            data = body.read_some(min(skip, _BUFFER_SIZE))
            if not data:
                raise self._truncated()
            skip -= len(data)
            self._repeatable -= len(data)
            if self._repeatable < 0:
                body.close()
                raise self._truncated(is_final=True)
        return body

    def _decoded(self, response: HttpResponse) -> HttpResponse | DecodedBody:
        """Return the body of a response that does not have the blob's length: a proxy may have compressed it.

        Raises ProtocolError for a body that has another length.
        """
        if response.length is None and not response.encoding:
            return response
        start = b""
        may_be_other = response.encoding or response.header("Content-Type").startswith("text/html")
        while may_be_other and len(start) < START and (data := response.read_some(START - len(start))):
            start += data
        is_gzip = self._descriptor.media_type.endswith(("gzip", ".gz"))
        decoder = decoder_for(response.encoding, start, is_gzip=is_gzip)
        if self._descriptor.digest in self._damaged:
            # The bytes may be those of the blob after all.
            decoder = None
        if decoder is None and response.length is not None:
            length = response.length
            response.close()
            check_no_page(start, self._label)
            raise ProtocolError(
                f"{self._label} has the wrong size",
                cause=f"{format_count(length, 'byte')}, not {self._descriptor.size}",
                reason="wrong size",
            )
        return DecodedBody(response, start, decoder)

    def _truncated(self, *, is_final: bool = False) -> ProtocolError:
        cause = f"{self._position} of {format_count(self._descriptor.size, 'byte')} received{self._page}"
        if is_final:
            cause += "; the registry does not support ranges, and sent the bytes several times"
            return ProtocolError(f"{self._label} was truncated", cause=cause)
        return ProtocolError(f"{self._label} was truncated", cause=cause, reason="truncated blob")

    @property
    def _page(self) -> str:
        """What errors say about a web page in the place of the blob; mostly empty."""
        return f": {describe_page(self._start)}" if is_page(self._start) else ""

    def _verify(self) -> None:
        self._disconnect()
        expected = self._descriptor.digest
        actual = Digest("sha256:" + self._hash.hexdigest())
        if actual != expected:
            # Damaged in transit or in the registry: callers that can start again may do so once.
            damaged_once = expected not in self._damaged
            self._damaged.add(expected)
            raise DamagedBlobError(
                f"{self._label} is damaged",
                cause=f"its digest is {actual}{self._page}",
                hint="do not use this image: the registry, or a proxy in front of it, changed the blob",
                damaged_once=damaged_once,
            )

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
