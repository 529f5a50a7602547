"""Uploads one blob to one repository (distribution spec, "Pushing Blobs"): mounts, sends, resumes and repeats."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from threading import Event

from dockless.blobs import BlobSource, DamagedError
from dockless.oci.descriptor import Descriptor
from dockless.registry.api import RegistryApi
from dockless.registry.errors import (
    BlobSourceError,
    ProtocolError,
    RegistryError,
    RegistryRequestError,
    ResponseError,
    TokenDeniedError,
)
from dockless.registry.http.url_policy import origin_of
from dockless.registry.mount_sources import MountSources
from dockless.registry.presence import BlobCheck
from dockless.registry.push_result import BlobResult
from dockless.registry.retry import DAMAGED_UPLOAD, LOST_SESSION, REFUSED_CHUNK, Retrier, Verdict, classify
from dockless.registry.upload_body import BlobPart, OpenBlob, check_source
from dockless.registry.upload_progress import UploadProgress
from dockless.registry.upload_refusals import is_content_refused, is_lost, is_new_session_lost, smaller_chunk
from dockless.registry.upload_state import MIN_SIZE, UploadState

# What is lost when a chunk is interrupted at a registry that keeps only complete ones. ECR requires 5 MiB at least.
CHUNK_SIZE = 16 * 1024 * 1024
# After so many chunks whose sessions were lost, chunks are taken to be unsupported.
_MAX_LOST_CHUNKS = 2


class BlobUploader:
    """Uploads one blob.

    The blob is mounted from the repositories that `mounts` finds and from `mount_from`; not with `may_mount` False.

    `on_bytes` is called with the number of bytes that are uploaded in addition, negative when some have to be sent
    again; `on_retry` with each error that is followed by another attempt, and the pause in seconds. `stop` ends the
    upload from another thread.
    """

    def __init__(
        self,
        api: RegistryApi,
        retrier: Retrier,
        state: UploadState,
        repository: str,
        descriptor: Descriptor,
        source: BlobSource,
        *,
        mounts: MountSources,
        mount_from: Collection[str] = (),
        may_mount: bool = True,
        on_bytes: Callable[[int], None] | None = None,
        on_retry: Callable[[RegistryError, float], None] | None = None,
        stop: Event | None = None,
    ) -> None:
        self._api = api
        self._state = state
        self._repository = repository
        self._descriptor = descriptor
        self._check = BlobCheck(api, repository, descriptor)
        self._source = source
        self._open_blob = OpenBlob(source, descriptor)
        self._mounts = mounts
        self._named_mounts = mount_from
        self._mount_from: list[str] = []
        self._must_wait = may_mount
        self._lock = ExitStack()
        self._mount_repeated = False
        self._attempts = retrier.attempts(stop=stop, on_retry=on_retry)
        self._progress = UploadProgress(descriptor.size, self._attempts, on_bytes)
        # Without a location: no session is open.
        self._session = api.upload_session(repository)
        # The number of bytes that the session has; None if the registry must be asked.
        self._offset: int | None = 0
        # Whether the last request for that number failed.
        self._is_offset_refused = False
        # The rest is sent in one request until one is interrupted, and always if chunks are not supported.
        self._chunk_size = 0
        self._chunks_unsupported = False
        self._lost_chunks = 0
        # Whether the content is sent by PATCH, and the PUT that ends the session is empty.
        self._is_put_empty = api.put_refuses_content
        self._put_length = 0
        self._refused_puts = 0
        # How the blob may have come to exist by a request whose response was lost.
        self._tried = ""
        # Whether such a request was sent after the last check.
        self._must_check = False

    def run(self, *, check_first: bool, resume: bool) -> BlobResult:
        """Return when the blob exists. `check_first`: ask the registry first. `resume`: continue an earlier upload.

        Raises RegistryError, also that of a source; LayoutError if the source's own copy is damaged.
        """
        try:
            with self._attempts.limit():
                result = self._run(check_first, resume)
            self._mounts.add(self._descriptor, self._repository)
            return result
        except BlobSourceError as error:
            raise error.error from error.error.__cause__
        except DamagedError:
            # The session has bytes of the damaged blob: the next process must not continue it.
            self._drop_state()
            raise
        finally:
            self._lock.close()
            self._open_blob.close()

    def find(self) -> str:
        """Return `present`, `mounted`, or an empty string if the blob has to be sent. Raises RegistryError."""
        try:
            with self._attempts.limit():
                found = self._find()
            if found:
                self._mounts.add(self._descriptor, self._repository)
            return found
        finally:
            self._lock.close()

    def _find(self) -> str:
        while True:
            try:
                if self._exists():
                    return self._tried or "present"
                if self._mount():
                    return "mounted"
                if self._session.location:
                    self._cancel_session()
                return ""
            except RegistryError as error:
                self._attempts.wait(error)

    def _run(self, check: bool, resume: bool) -> BlobResult:
        size = self._descriptor.size
        resumable = resume and size >= MIN_SIZE
        while True:
            self._progress.begin_attempt()
            verdict: Verdict | None = None
            is_repeated = False
            try:
                if check and self._exists():
                    self._drop_state()
                    return BlobResult(self._tried or "present", self._progress.sent)
                check = self._must_check = False
                self._progress.reached(1)
                if resumable:
                    resumable = False
                    self._resume()
                if self._attempt():
                    return BlobResult("mounted", self._progress.sent)
                self._drop_state()
                return BlobResult("sent", self._progress.sent)
            except RegistryError as failure:
                error = self._progress.judged(failure)
                offset, is_repeated = self._offset, self._progress.repeats_request(failure)
                if isinstance(failure, ResponseError):
                    verdict = self._handle(failure)
                else:
                    self._offset = None
                if isinstance(failure, BlobSourceError) and failure.reason == "damaged blob":
                    self._forget_session()
                if is_repeated:
                    self._offset = offset
            self._progress.end_attempt()
            self._attempts.wait(error, verdict)
            check = check or (self._must_check and not is_repeated)

    def _attempt(self) -> bool:
        """Do all that is left. Return True if the blob was mounted."""
        if self._session.location and self._offset is None:
            self._ask_offset()
        if not self._session.location and self._open():
            return True
        while (length := self._chunk_length()) and self._offset is not None:
            self._send_chunk(self._offset, length)
        self._commit(self._offset or 0)
        self._api.put_refuses_content = self._api.put_refuses_content or self._is_put_empty
        return False

    def _chunk_length(self) -> int:
        """Return the length of the next PATCH; 0 if the rest belongs into the PUT."""
        left = self._descriptor.size - (self._offset or 0)
        if self._chunk_size and left > self._chunk_size:
            return self._chunk_size
        return left if self._is_put_empty else 0

    def _handle(self, refusal: ResponseError) -> Verdict:
        """Update the session after an error response. Return whether to try again."""
        verdict = classify(refusal)
        if not self._session.location or isinstance(refusal, TokenDeniedError):
            return LOST_SESSION if is_new_session_lost(refusal) else verdict
        if "DIGEST_INVALID" in refusal.codes:
            check_source(self._source, self._descriptor)
            self._forget_session()
            return DAMAGED_UPLOAD
        size = smaller_chunk(self._chunk_size or self._descriptor.size, CHUNK_SIZE)
        if refusal.status == 413 and refusal.method in ("PUT", "PATCH") and size and not self._chunks_unsupported:
            # Proxies limit the size of single requests: Cloudflare 100 MB, Cloud Run 32 MiB.
            self._chunk_size, self._offset = size, None
            return REFUSED_CHUNK
        if refusal.method == "PUT" and self._put_length and not self._is_put_empty:
            self._refused_puts += 1
            is_whole = self._put_length == self._descriptor.size
            if is_content_refused(refusal, is_whole=is_whole, is_first=self._refused_puts == 1):
                self._is_put_empty = True
                self._forget_session()
                return REFUSED_CHUNK
        if refusal.method == "PATCH" and not verdict.is_temporary and refusal.status not in (401, 403, 404):
            if is_lost(refusal) and self._lost_chunks < _MAX_LOST_CHUNKS:
                self._lost_chunks += 1
            elif self._is_put_empty:
                # The content was refused in both requests.
                return verdict
            else:
                # GAR accepts one chunk only, GHCR none over 4 MiB (416); both accept a whole blob of any size.
                self._chunks_unsupported = True
                self._chunk_size = 0
            self._forget_session()
            return REFUSED_CHUNK
        if "NAME_UNKNOWN" in refusal.codes:
            self._forget_session()
        elif refusal.status in (404, 409) or is_lost(refusal):  # 409: another client sends the same blob.
            self._forget_session()
            return LOST_SESSION
        else:
            self._offset = None
        return verdict

    def _forget_session(self) -> None:
        self._session.location = ""
        self._offset = 0
        self._drop_state()

    def _exists(self, *, is_sent: bool = False) -> bool:
        self._attempts.check()
        return self._check.exists(is_sent=is_sent)

    def _resume(self) -> None:
        """Continue the session of an interrupted push, if there is one and it is usable."""
        base_url = self._api.base_url
        location = self._state.take(base_url, self._repository, self._descriptor.digest)
        # A stored location on another host may no longer belong to the registry.
        if origin_of(location) != origin_of(base_url):
            return
        self._session.location = location
        try:
            self._ask_offset()
        except RegistryError:
            self._forget_session()

    def _open(self) -> bool:
        """Open a session, or mount the blob and return True."""
        if self._mount():
            return True
        if not self._session.location:
            self._attempts.check()
            self._session.open()
        self._session_opened()
        return False

    def _mount(self) -> bool:
        """Mount the blob from the first repository that has it. The session of the last refused mount stays open."""
        self._take_lock()
        mounts = self._mount_from
        while mounts:
            self._attempts.check()
            self._tried, self._must_check = "mounted", True
            try:
                mounted = self._session.open(mount=self._descriptor.digest, source=mounts[0])
            except RegistryRequestError as error:
                if classify(error).is_temporary and not self._mount_repeated:
                    # One more attempt costs less than sending the blob.
                    self._mount_repeated = True
                    raise
                mounts.pop(0)
                continue
            mounts.pop(0)
            if mounted:
                return True
            if not mounts or not self._cancel_session():
                return False
        return False

    def _take_lock(self) -> None:
        if self._must_wait:
            self._must_wait = False
            digest = self._descriptor.digest
            self._lock.enter_context(self._mounts.upload(digest, self._attempts.check))
            self._mount_from = self._mounts.find(digest, self._repository, self._named_mounts)

    def _cancel_session(self) -> bool:
        """Delete the session that a refused mount opened, to try the next repository."""
        try:
            self._session.cancel()
        except RegistryError:
            return False
        self._session.location = ""
        return True

    def _session_opened(self) -> None:
        self._offset = 0
        self._progress.reached(2)
        self._keep_state()
        if self._chunk_size:
            self._chunk_size = max(self._chunk_size, self._session.chunk_minimum)

    def _ask_offset(self) -> None:
        """Ask how much the session has (spec, "Pushing a blob in chunks"), and forget a session that is lost."""
        if not self._chunks_unsupported:
            self._chunk_size = self._chunk_size or CHUNK_SIZE
        self._attempts.check()
        try:
            offset = self._session.uploaded_bytes()
        except ResponseError as refusal:
            if classify(refusal).retryable and not self._is_offset_refused:
                self._is_offset_refused = True
                raise
            # docker-registry 2.8 cannot continue after an interrupted request: 404, BLOB_UPLOAD_INVALID.
            self._forget_session()
            return
        self._is_offset_refused = False
        # docker-registry reports 0-0 for no byte as for one.
        if offset < 2 or offset > self._descriptor.size or self._chunks_unsupported:
            self._forget_session()
            return
        self._keep_state()
        self._set_offset(offset)

    def _send_chunk(self, start: int, length: int) -> None:
        self._attempts.check()
        # Before the request, during which the registry would have to wait.
        self._open_blob.hash_up_to(start)
        self._progress.shift(self._session.uploaded_bytes)
        is_whole = length == self._descriptor.size
        offset = self._session.send(lambda: self._part(start, length), start, length, is_whole=is_whole)
        if offset is not None and offset > start + length:
            # The registry already had the chunk, and appended it again (docker-registry 2.8 ignores Content-Range).
            self._forget_session()
            raise ProtocolError(
                f"{self._api.registry} has more of {self._descriptor.digest} than was sent", reason="upload too long"
            )
        self._keep_state()
        # ECR always reports the end of the first chunk: an offset that does not grow is ignored.
        self._set_offset(offset if offset is not None and offset > start else start + length)
        if offset is not None and start < offset < start + length:
            # Counted as a failed attempt: a registry that takes one byte of each chunk would be sent chunks forever.
            raise ProtocolError(
                f"{self._api.registry} accepted {offset - start} of {length} bytes of {self._descriptor.digest}",
                reason="chunk not complete",
            )

    def _commit(self, start: int) -> None:
        digest = self._descriptor.digest
        length = self._descriptor.size - start
        self._attempts.check()
        if start or not length:
            # The registry may have bytes that an earlier process sent.
            self._open_blob.hash_up_to(start)
        self._progress.shift(self._session.uploaded_bytes)
        self._tried, self._must_check = "sent", True
        self._put_length = length
        response = self._session.commit(digest, lambda: self._part(start, length), start, length)
        stored = response.header("Docker-Content-Digest")
        is_other = stored.startswith("sha256:") and stored != digest
        # The specification requires 201. Another status may mean something else, another host, which the upload was
        # redirected to, cannot tell what the registry has, and without the digest the server may store nothing.
        is_certain = response.status == 201 and origin_of(response.url) == origin_of(self._api.base_url)
        if is_other or not ((is_certain and stored) or self._exists(is_sent=is_certain)):
            self._forget_session()
            raise ProtocolError(
                f"{self._api.registry}/{self._repository} did not store the blob that was sent",
                cause=f"sent the digest {digest}, the response is {response.status} {stored:.80}".rstrip(),
                reason="other content stored",
            )

    def _set_offset(self, offset: int) -> None:
        self._offset = offset
        self._progress.acknowledged(offset)

    def _part(self, start: int, length: int) -> BlobPart:
        self._progress.begin_part(start)
        return BlobPart(self._open_blob, start, length, self._progress.count)

    def _keep_state(self) -> None:
        if self._descriptor.size >= MIN_SIZE:
            self._state.keep(self._api.base_url, self._repository, self._descriptor.digest, self._session.location)

    def _drop_state(self) -> None:
        if self._descriptor.size >= MIN_SIZE:
            self._state.drop(self._api.base_url, self._repository, self._descriptor.digest)
