"""Makes one blob exist in one repository (distribution spec, "Pushing Blobs"), whatever breaks on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from dockless.blobs import ContentSource
from dockless.oci.descriptor import Descriptor
from dockless.registry.auth.scopes import PUSH
from dockless.registry.errors import Failure, RegistryError, ResponseError, TokenRefused, Unexpected
from dockless.registry.http.url_policy import origin_of
from dockless.registry.upload_body import BlobPart, OpenBlob, check_source
from dockless.registry.upload_session import UploadSession
from dockless.registry.upload_state import SMALLEST

if TYPE_CHECKING:
    from dockless.registry.client import RegistryClient

# What is lost when a chunk breaks at a registry that keeps only whole ones. ECR wants 5 MiB at least, unsaid.
CHUNK = 16 * 1024 * 1024
# Where a proxy refuses chunks for their size, they are made smaller, down to a 16th: nginx takes 1 MiB unless told.
_SMALLER = 4
_SMALLEST_CHUNK = 16
# Beside 404 and 416, of a session that is no more, or that is not where we think (docker-registry 2.8, ECR, Harbor).
_SESSION_CODES = frozenset(("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID"))
_DAMAGED_ATTEMPTS = 4
# Of a registry that loses each session, blob and all, without having kept a byte of it.
_LOST_ATTEMPTS = 4
# So many times a chunk may meet a session that is no more; then it is chunks that are not wanted.
_LOST_CHUNKS = 2
_STEP = 1 << 20
# To who asks whether a blob is there: no right to ask (ECR without BatchGetImage), no such question (a store that a
# HEAD was led to). It is only a short cut: the upload says what is what.
_UNANSWERED = frozenset((400, 403, 404, 405, 501))


class BlobResult(NamedTuple):
    """How a blob came to be there: `present`, `mounted` or `sent`; and the bytes that were sent, all attempts."""

    how: str
    bytes_sent: int


class Upload:
    """One blob on its way. `mount_from` names repositories of this registry that may have it.

    `moved` is told of bytes that are there more, or less when they have to be sent again; `retried` of each failure
    that is not the last, and the pause in seconds. `stop` ends it from another thread.
    """

    def __init__(
        self,
        client: RegistryClient,
        repository: str,
        descriptor: Descriptor,
        source: ContentSource,
        *,
        mount_from: Collection[str] = (),
        moved: Callable[[int], None] | None = None,
        retried: Callable[[RegistryError, float], None] | None = None,
        stop: Event | None = None,
    ) -> None:
        self._client = client
        self._repository = repository
        self._descriptor = descriptor
        self._source = source
        self._open_blob = OpenBlob(source, descriptor)
        self._mount_from = [name for name in mount_from if name != repository]
        self._mount_failed = False
        self._moved = moved
        self._retries = client.retries(stop=stop, tell=retried)
        # Without a location: there is none.
        self._session = UploadSession(client.session, repository)
        # What the session holds; None: it has to be asked.
        self._offset: int | None = 0
        # The most that a session was seen to hold.
        self._best = 0
        # One request for the rest, until one broke; where chunks are not understood, never again.
        self._chunk = 0
        self._chunks_refused = False
        self._chunks_lost = 0
        # How the blob may have come to be there, where an answer was lost.
        self._tried = ""
        self._told = 0
        self.sent = 0

    def run(self, *, check_first: bool) -> BlobResult:
        """Returns when the blob is there. Raises RegistryError; LayoutError where our own copy is damaged."""
        try:
            return self._run(check_first)
        finally:
            self._open_blob.close()

    def _run(self, check_first: bool) -> BlobResult:
        look = check_first
        size = self._descriptor.size
        stored = check_first and self._descriptor.size >= SMALLEST
        while True:
            before = self._best
            try:
                if look and self._exists():
                    self._state_drop()
                    return BlobResult(self._tried or "present", self.sent)
                look = False
                if stored:
                    stored = False
                    self._resume()
                if self._attempt():
                    return BlobResult("mounted", self.sent)
                self._state_drop()
                return BlobResult("sent", self.sent)
            except ResponseError as refusal:
                error: RegistryError = self._judge(refusal)
            except RegistryError as failure:
                error = failure
                # How far the registry came is for it to say.
                self._offset = None
            # A registry that moves on by a byte must not hold us for ever.
            if self._best - before >= min(_STEP, max(1, size // 100)):
                self._retries.progressed()
            self._retries.wait(error)
            look = look or bool(self._tried)

    def _attempt(self) -> bool:
        """All that is to be done from where we are; True where the blob was mounted."""
        if self._session.location and self._offset is None:
            self._ask_offset()
        if not self._session.location and self._open():
            return True
        size = self._descriptor.size
        while self._chunk and self._offset is not None and size - self._offset > self._chunk:
            self._send_chunk(self._offset, self._chunk)
        self._commit(self._offset or 0)
        return False

    def _judge(self, refusal: ResponseError) -> RegistryError:
        """What a refusal means for the session, and whether to try again."""
        if not self._session.location or refusal.of_source or isinstance(refusal, TokenRefused):
            return refusal
        if "DIGEST_INVALID" in refusal.codes:
            check_source(self._source, self._descriptor)
            # Bytes were damaged on the way: a new session, from the start.
            self._forget()
            refusal.transient, refusal.attempts = True, _DAMAGED_ATTEMPTS
        elif refusal.status == 413 and refusal.method in ("PUT", "PATCH") and self._smaller_chunk():
            # What a proxy limits is the single request: Cloudflare 100 MB, Cloud Run 32 MiB.
            self._offset = None
            refusal.transient = True
        elif refusal.method == "PATCH" and not refusal.transient and refusal.status not in (401, 403, 404):
            if self._is_lost(refusal) and self._chunks_lost < _LOST_CHUNKS:
                self._chunks_lost += 1
            else:
                # GAR takes one chunk only, GHCR none over 4 MiB (416): both take a whole blob of any size.
                self._chunks_refused = True
                self._chunk = 0
            self._forget()
            refusal.transient = True
        elif "NAME_UNKNOWN" in refusal.codes:
            self._forget()
        elif refusal.status == 404 or self._is_lost(refusal):
            self._forget()
            refusal.transient, refusal.attempts = True, _LOST_ATTEMPTS
        else:
            self._offset = None
        return refusal

    def _is_lost(self, refusal: ResponseError) -> bool:
        return refusal.status == 416 or bool(_SESSION_CODES.intersection(refusal.codes))

    def _smaller_chunk(self) -> bool:
        """Makes chunks smaller than what was too large; False where that is no chunk any more."""
        refused = self._chunk or self._descriptor.size
        chunk = CHUNK
        while chunk >= refused:
            chunk //= _SMALLER
        if self._chunks_refused or chunk < CHUNK // _SMALLEST_CHUNK:
            return False
        self._chunk = chunk
        return True

    def _forget(self) -> None:
        self._session.location = ""
        self._offset = 0
        self._state_drop()

    def _exists(self) -> bool:
        self._retries.check()
        try:
            size = self._client.blob_size(self._repository, self._descriptor.digest, actions=PUSH)
        except ResponseError as error:
            if error.status not in _UNANSWERED:
                raise
            return False
        # Whoever answers 200 to everything has a page of another size.
        return size in (-1, self._descriptor.size)

    def _resume(self) -> None:
        """Takes up the session of a push that was killed. Whatever is wrong with it, there are others."""
        client = self._client
        self._session.location = client.state.take(client.session.base_url, self._repository, self._descriptor.digest)
        # Of another host's address nobody but us could know whether it is still the registry's.
        if origin_of(self._session.location) != origin_of(client.session.base_url):
            self._session.location = ""
        if self._session.location:
            try:
                self._ask_offset()
            except RegistryError:
                self._forget()

    def _open(self) -> bool:
        """Opens a session; True where the blob was mounted instead. A mount that is refused is no error."""
        mounts = self._mount_from
        while mounts:
            self._retries.check()
            self._tried = "mounted"
            try:
                mounted = self._session.open(mount=self._descriptor.digest, source=mounts[0])
            except Failure as error:
                if error.transient and not self._mount_failed:
                    # Once more is cheaper than sending the blob.
                    self._mount_failed = True
                    raise
                mounts.pop(0)
                continue
            mounts.pop(0)
            if mounted:
                return True
            if not mounts or not self._cancelled():
                return self._opened()
        self._retries.check()
        self._session.open()
        return self._opened()

    def _cancelled(self) -> bool:
        """Gives back the session that a refused mount began, to try the next repository."""
        try:
            self._session.cancel()
        except RegistryError:
            return False
        self._session.location = ""
        return True

    def _opened(self) -> bool:
        self._offset = 0
        self._state_keep()
        if self._chunk:
            self._chunk = max(self._chunk, self._session.chunk_minimum)
        return False

    def _ask_offset(self) -> None:
        """How far the session came (distribution spec, "Pushing a blob in chunks"). One that is lost is forgotten."""
        if not self._chunks_refused:
            self._chunk = self._chunk or CHUNK
        self._retries.check()
        try:
            held = self._session.held()
        except ResponseError as refusal:
            if refusal.transient or refusal.status in (401, 403):
                raise
            # docker-registry 2.8 cannot go on after a request that broke midway: 404, BLOB_UPLOAD_INVALID.
            self._forget()
            return
        # docker-registry says 0-0 for nothing as for one byte: one byte is not worth the doubt.
        if held < 2 or held > self._descriptor.size or self._chunks_refused:
            self._forget()
            return
        self._state_keep()
        self._holds(held)

    def _send_chunk(self, start: int, length: int) -> None:
        self._retries.check()
        held = self._session.send(lambda: self._part(start, length), start, length)
        if held is not None and held > start + length:
            # It had got the chunk already and appended it once more (docker-registry 2.8 ignores Content-Range).
            self._forget()
            raise Unexpected(
                f"{self._client.registry} holds more of {self._descriptor.digest} than was sent", transient=True
            )
        self._state_keep()
        # ECR says the end of the first chunk for ever; what is less than it had before is not meant.
        self._holds(held if held is not None and held > start else start + length)

    def _commit(self, start: int) -> None:
        length = self._descriptor.size - start
        self._retries.check()
        self._tried = "sent"
        answer = self._session.commit(self._descriptor.digest, lambda: self._part(start, length), start, length)
        said = answer.header("Docker-Content-Digest")
        wrong = said.startswith("sha256:") and said != self._descriptor.digest
        # 201 of the registry is what the specification says; something else may mean something else, and another host,
        # where the upload led, cannot say what the registry has.
        trusted = answer.status == 201 and origin_of(answer.url) == origin_of(self._client.session.base_url)
        if wrong or not (trusted or self._exists()):
            self._forget()
            raise Unexpected(
                f"{self._client.registry}/{self._repository} did not store the blob that was sent",
                cause=f"sent {self._descriptor.digest}, the answer is {answer.status} {said:.80}".rstrip(),
                transient=True,
                attempts=3,
            )

    def _holds(self, offset: int) -> None:
        self._offset = offset
        self._best = max(self._best, offset)

    def _part(self, start: int, length: int) -> BlobPart:
        if self._moved and self._told != start:
            self._moved(start - self._told)
        self._told = start
        return BlobPart(self._open_blob, start, length, self._sending)

    def _sending(self, n: int) -> None:
        self._retries.check()
        self.sent += n
        self._told += n
        if self._moved:
            self._moved(n)

    def _state_keep(self) -> None:
        if self._descriptor.size >= SMALLEST:
            client = self._client
            client.state.keep(
                client.session.base_url, self._repository, self._descriptor.digest, self._session.location
            )

    def _state_drop(self) -> None:
        if self._descriptor.size >= SMALLEST:
            client = self._client
            client.state.drop(client.session.base_url, self._repository, self._descriptor.digest)
