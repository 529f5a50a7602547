"""Makes one blob exist in one repository (distribution spec, "Pushing Blobs"), whatever breaks on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from threading import Event
from typing import TYPE_CHECKING, Any, NamedTuple

from dockless.content import ContentSource
from dockless.descriptor import Descriptor
from dockless.registry.auth.scopes import PULL, PUSH, scope
from dockless.registry.body import BlobPart, check_source
from dockless.registry.errors import Failure, RegistryError, ResponseError, Unexpected
from dockless.registry.hosts import check_destination, follow
from dockless.registry.state import SMALLEST
from dockless.registry.transport import READ_TIMEOUT, Answer

if TYPE_CHECKING:
    from dockless.registry.client import RegistryClient

# What is lost when a chunk breaks at a registry that keeps only whole ones. ECR wants 5 MiB at least, unsaid.
CHUNK = 16 * 1024 * 1024
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})\Z")
# Beside 404 and 416, of a session that is no more, or that is not where we think (docker-registry 2.8, ECR, Harbor).
_SESSION_CODES = frozenset(("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID"))
# Seconds for a registry that hashes or moves a blob before it answers: so many bytes in one.
_MOVED_A_SECOND = 10_000_000
_LONGEST_COMMIT = 300.0
_DAMAGED_ATTEMPTS = 4


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
        self._mount_from = [name for name in mount_from if name != repository]
        self._mount_failed = False
        self._moved = moved
        self._retries = client.retries(stop=stop, tell=retried)
        # Where to go on; empty: there is no session.
        self._location = ""
        # What the session holds; None: it has to be asked.
        self._offset: int | None = 0
        # The most that a session was seen to hold.
        self._best = 0
        # One request for the rest, until one broke; where chunks are not understood, never again.
        self._chunk = 0
        self._chunks_refused = False
        self._told = 0
        self.sent = 0

    def run(self, *, check_first: bool) -> BlobResult:
        """Returns when the blob is there. Raises RegistryError; LayoutError where our own copy is damaged."""
        look = check_first
        stored = check_first and self._descriptor.size >= SMALLEST
        while True:
            before = self._best
            try:
                if look and self._exists():
                    self._state_drop()
                    return BlobResult("sent" if self.sent else "present", self.sent)
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
            if self._best > before:
                self._retries.progressed()
            self._retries.wait(error)
            # The answer may have been lost after the deed.
            look = look or self.sent > 0

    def _attempt(self) -> bool:
        """All that is to be done from where we are; True where the blob was mounted."""
        if self._location and self._offset is None:
            self._ask_offset()
        if not self._location and self._open():
            return True
        size = self._descriptor.size
        while self._chunk and self._offset is not None and size - self._offset > self._chunk:
            self._patch(self._offset, self._chunk)
        self._put(self._offset or 0)
        return False

    def _judge(self, refusal: ResponseError) -> RegistryError:
        """What a refusal means for the session, and whether to try again."""
        if not self._location:
            return refusal
        if "DIGEST_INVALID" in refusal.codes:
            check_source(self._source, self._descriptor)
            # Bytes were damaged on the way: a new session, from the start.
            self._forget()
            refusal.transient, refusal.attempts = True, _DAMAGED_ATTEMPTS
        elif refusal.method == "PATCH" and not refusal.transient and refusal.status not in (401, 403, 404):
            # GAR takes one chunk only, GHCR none over 4 MiB: both take a whole blob of any size.
            self._chunks_refused = True
            self._chunk = 0
            self._forget()
            refusal.transient = True
        elif refusal.status in (404, 416) or _SESSION_CODES.intersection(refusal.codes):
            self._forget()
            refusal.transient = True
        else:
            self._offset = None
        return refusal

    def _forget(self) -> None:
        self._location = ""
        self._offset = 0
        self._state_drop()

    def _exists(self) -> bool:
        answer = self._request("HEAD", f"/v2/{self._repository}/blobs/{self._descriptor.digest}", expect=(200, 404))
        answer.close()
        # Whoever answers 200 to everything has a page of another size.
        return answer.status == 200 and answer.length in (None, 0, self._descriptor.size)

    def _resume(self) -> None:
        """Takes up the session of a push that was killed. Whatever is wrong with it, there are others."""
        client = self._client
        self._location = client.state.take(client.session.base_url, self._repository, self._descriptor.digest)
        if self._location:
            try:
                self._ask_offset()
            except RegistryError:
                self._forget()

    def _open(self) -> bool:
        """Opens a session; True where the blob was mounted instead."""
        while self._mount_from:
            answer = self._mount(self._mount_from[0])
            self._mount_from.pop(0)
            if answer is None:
                continue
            if answer.status == 201:
                answer.close()
                return True
            if self._mount_from and self._cancel(answer):
                continue
            return self._opened(answer)
        return self._opened(self._request("POST", f"/v2/{self._repository}/blobs/uploads/", expect=(202,), body=b""))

    def _mount(self, other: str) -> Answer | None:
        """201: mounted; 202: a session; None: refused, for whatever reason: it is only a short cut."""
        # Quay refuses a mount that does not say from where.
        path = f"/v2/{self._repository}/blobs/uploads/?mount={self._descriptor.digest}&from={other}"
        try:
            return self._request("POST", path, expect=(201, 202), extra=(scope(other, PULL),), body=b"")
        except Failure as error:
            if error.transient and not self._mount_failed:
                # Once more is cheaper than sending the blob.
                self._mount_failed = True
                raise
            return None

    def _cancel(self, answer: Answer) -> bool:
        """Gives back the session that a refused mount began, to try the next repository."""
        answer.close()
        try:
            location = follow(answer.url, answer.header("Location"), "the upload location")
            self._request("DELETE", location, expect=(202, 204)).close()
        except RegistryError:
            return False
        return True

    def _opened(self, answer: Answer) -> bool:
        answer.close()
        self._go_on_at(answer)
        self._offset = 0
        least = answer.header("OCI-Chunk-Min-Length")
        if self._chunk and least.isascii() and least.isdigit():
            self._chunk = max(self._chunk, int(least[:18]))
        return False

    def _go_on_at(self, answer: Answer) -> None:
        """Each answer names where to go on; its query is the registry's own business and stays as it is."""
        location = answer.header("Location")
        if not location:
            raise Unexpected(
                f"{self._client.registry} does not say where to upload to {self._repository}",
                cause=f"its answer to {answer.method} has no Location",
                attempts=2,
                transient=True,
            )
        location = follow(answer.url, location, "the upload location")
        check_destination(location, self._client.session.base_url, "the upload location")
        self._location = location
        if self._descriptor.size >= SMALLEST:
            client = self._client
            client.state.keep(client.session.base_url, self._repository, self._descriptor.digest, self._location)

    def _ask_offset(self) -> None:
        """How far the session came (distribution spec, "Pushing a blob in chunks"). One that is lost is forgotten."""
        if not self._chunks_refused:
            self._chunk = self._chunk or CHUNK
        try:
            answer = self._request("GET", self._location, expect=(200, 202, 204))
        except ResponseError as refusal:
            if refusal.transient or refusal.status in (401, 403):
                raise
            # docker-registry 2.8 cannot go on after a request that broke midway: 404, BLOB_UPLOAD_INVALID.
            self._forget()
            return
        answer.close()
        found = _RANGE.match(answer.header("Range").strip())
        held = int(found[1]) + 1 if found else 0
        # docker-registry says 0-0 for nothing as for one byte: one byte is not worth the doubt.
        if held < 2 or held > self._descriptor.size or self._chunks_refused:
            self._forget()
            return
        if answer.header("Location"):
            self._go_on_at(answer)
        self._holds(held)

    def _patch(self, start: int, length: int) -> None:
        answer = self._request(
            "PATCH",
            self._location,
            expect=(202, 204),
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{start}-{start + length - 1}",
            },
            body=lambda: self._part(start, length),
        )
        answer.close()
        self._go_on_at(answer)
        found = _RANGE.match(answer.header("Range").strip())
        held = int(found[1]) + 1 if found else start + length
        if held > start + length:
            # It had got the chunk already and appended it once more (docker-registry 2.8 ignores Content-Range).
            self._forget()
            raise Unexpected(
                f"{self._client.registry} holds more of {self._descriptor.digest} than was sent", transient=True
            )
        # ECR says the end of the first chunk for ever; what is less than it had before is not meant.
        self._holds(held if held > start else start + length)

    def _put(self, start: int) -> None:
        """The rest of the blob, and its digest, which ends the session."""
        size = self._descriptor.size
        length = size - start
        separator = "&" if "?" in self._location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        if start and length:
            headers["Content-Range"] = f"{start}-{size - 1}"
        answer = self._request(
            "PUT",
            f"{self._location}{separator}digest={self._descriptor.digest}",
            expect=(200, 201, 202, 204),
            headers=headers,
            # requests sends an empty body with a length of 0 only as bytes.
            body=(lambda: self._part(start, length)) if length else b"",
            read_timeout=min(_LONGEST_COMMIT, READ_TIMEOUT + size / _MOVED_A_SECOND),
        )
        answer.close()
        said = answer.header("Docker-Content-Digest")
        wrong = said.startswith("sha256:") and said != self._descriptor.digest
        # 201 is what the specification says; who says something else may have done something else.
        if wrong or (answer.status != 201 and not self._exists()):
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
        return BlobPart(self._source, self._descriptor, start, length, self._sending, self._client.clock)

    def _sending(self, n: int) -> None:
        self._retries.check()
        self.sent += n
        self._told += n
        if self._moved:
            self._moved(n)

    def _state_drop(self) -> None:
        if self._descriptor.size >= SMALLEST:
            client = self._client
            client.state.drop(client.session.base_url, self._repository, self._descriptor.digest)

    def _request(
        self,
        method: str,
        path: str,
        *,
        expect: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        extra: tuple[str, ...] = (),
        read_timeout: float = READ_TIMEOUT,
    ) -> Answer:
        self._retries.check()
        return self._client.session.request(
            method,
            path,
            (scope(self._repository, PUSH), *extra),
            expect=expect,
            headers=headers,
            body=body,
            read_timeout=read_timeout,
        )
