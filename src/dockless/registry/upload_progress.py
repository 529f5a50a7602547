"""How far the upload of a blob has come: the bytes that were sent, and what counts as progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from dockless.registry.errors import RegistryConnectionError, RegistryError, ResponseError
from dockless.registry.retry import RETRY, Attempts, classify

# Bytes that the registry has in addition, and that count as progress.
_PROGRESS = 1 << 20
# Bytes that fit into the buffers of a connection: if no more were sent, the registry has read few of them or none.
_BUFFERED = 4 << 20


class UploadProgress:
    """The progress of the upload of a blob of `size` bytes, for `attempts`.

    `sent` is the number of bytes that were sent, in all attempts together. `on_bytes` is called with the number of
    bytes that are uploaded in addition, negative when some have to be sent again.
    """

    def __init__(self, size: int, attempts: Attempts, on_bytes: Callable[[int], None] | None) -> None:
        self.sent = 0
        self._size = size
        self._attempts = attempts
        self._on_bytes = on_bytes
        self._position = self._max_position = 0
        self._max_offset = self._offset_before = 0
        self._sent_before = 0
        self._step = 0
        # Requests with a temporary error, by method, since the registry has more than before.
        self._interruptions: Counter[str] = Counter()
        self._must_shift = False

    def begin_attempt(self) -> None:
        """Record that an attempt begins."""
        self._offset_before, self._sent_before = self._max_offset, self.sent

    def end_attempt(self) -> None:
        """Record that an attempt has failed: the next one counts as the first if the registry has more than before."""
        # A registry that accepts a byte per attempt must not cause endless attempts.
        if self._max_offset - self._offset_before >= min(_PROGRESS, max(1, self._size // 100)):
            self._attempts.progressed()

    def reached(self, step: int) -> None:
        """Record that a step of the upload succeeded. What starts again is no progress."""
        if step > self._step:
            self._step = step
            self._attempts.advanced()

    def begin_part(self, start: int) -> None:
        """Record that bytes from `start` are sent next."""
        if self._on_bytes and self._position != start:
            self._on_bytes(start - self._position)
        self._position = start

    def count(self, n: int) -> None:
        """Record that `n` bytes are sent. Raises CancelledError if the upload was stopped."""
        self._attempts.check()
        self.sent += n
        self._position += n
        if self._position > self._max_position:
            self._attempts.moved(self._position - self._max_position)
            self._max_position = self._position
        if self._on_bytes:
            self._on_bytes(n)

    def acknowledged(self, offset: int) -> None:
        """Record that the registry has `offset` bytes."""
        if offset > self._max_offset:
            self._max_offset = offset
            self._interruptions.clear()

    def judged(self, failure: RegistryError) -> RegistryError:
        """Return the error of a request; that of a connection which took much of a body was not that of an idle one."""
        if isinstance(failure, RegistryConnectionError) and not self._is_hardly_sent:
            return failure.replace(is_stale=False)
        return failure

    @property
    def _is_hardly_sent(self) -> bool:
        return self.sent - self._sent_before <= _BUFFERED

    def repeats_request(self, failure: RegistryError) -> bool:
        """Return whether a request with a temporary error is sent again as it was, without asking the registry first.

        That is so for every second error, if hardly any of a body was sent. Otherwise a fault of every second or every
        fourth request could hit the last request of the same sequence each time. A registry that has a part of the body
        already rejects the digest, or reports too many bytes.
        """
        if not isinstance(failure, (RegistryConnectionError, ResponseError)) or classify(failure) != RETRY:
            return False
        if isinstance(failure, RegistryConnectionError) and failure.reason != "interrupted":
            return False
        method = failure.method
        if method not in ("POST", "PATCH", "PUT"):
            return False
        self._interruptions[method] += 1
        count = self._interruptions[method]
        if method != "POST":
            self._must_shift = count > 1 and (count % 2 == 1) == self._is_hardly_sent
        return count % 2 == 0 and self._is_hardly_sent

    def shift(self, request: Callable[[], object]) -> None:
        """If the content was sent several times without success, send `request` before the content.

        Otherwise a fault of every second request could hit the content each time. `request` may fail.
        """
        if self._must_shift:
            self._must_shift = False
            with suppress(RegistryError):
                request()
