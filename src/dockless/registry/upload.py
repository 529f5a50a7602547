"""Makes one blob exist in one repository (distribution spec, "Pushing Blobs"), whatever breaks on the way."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple
from urllib.parse import urljoin

from dockless.content import ContentSource
from dockless.descriptor import Descriptor
from dockless.errors import LayoutError
from dockless.registry.errors import RegistryError, ResponseError, Unexpected
from dockless.registry.session import PULL, PUSH, scope

if TYPE_CHECKING:
    from dockless.registry.client import RegistryClient
    from dockless.registry.transport import Answer

# A chunk that broke is sent again from its begin where the registry cannot say how far it came.
CHUNK = 16 * 1024 * 1024
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})\Z")
# What registries say of a session that is no more, or that is not where we think (docker-registry 2.8, ECR, Harbor).
_SESSION_LOST = frozenset((404, 416))
_SESSION_CODES = frozenset(("BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID"))


class BlobResult(NamedTuple):
    """How a blob came to be there: `present`, `mounted` or `sent`; and the bytes that were sent, all attempts."""

    how: str
    bytes_sent: int


class _SessionLost(Exception):
    """The upload cannot go on where it was."""


def upload_blob(
    client: RegistryClient,
    repository: str,
    descriptor: Descriptor,
    source: ContentSource,
    *,
    mount_from: Collection[str],
    check_first: bool,
    progress: Callable[[int], None] | None,
) -> BlobResult:
    """See RegistryClient.ensure_blob."""
    return _Upload(client, repository, descriptor, source, mount_from, progress).run(check_first)


class _Upload:
    def __init__(
        self,
        client: RegistryClient,
        repository: str,
        descriptor: Descriptor,
        source: ContentSource,
        mount_from: Collection[str],
        progress: Callable[[int], None] | None,
    ) -> None:
        self.client = client
        self.repository = repository
        self.descriptor = descriptor
        self.source = source
        self.mount_from = [name for name in mount_from if name != repository]
        self.progress = progress
        self.scopes: tuple[str, ...] = (scope(repository, PUSH),)
        self.location = ""
        # What the registry confirmed; None: it has to be asked.
        self.offset: int | None = 0
        self.chunked = False
        self.sent = 0

    def run(self, check_first: bool) -> BlobResult:
        retries = self.client.retries()
        look = check_first
        while True:
            confirmed = self.offset or 0
            try:
                if look and self._exists():
                    return BlobResult("present" if not self.sent else "sent", self.sent)
                look = False
                if not self.location and self._start():
                    return BlobResult("mounted", 0)
                self._send()
                return BlobResult("sent", self.sent)
            except _SessionLost:
                error: RegistryError = Unexpected(
                    f"{self.client.registry} lost the upload of {self.descriptor.digest} to {self.repository}",
                    transient=True,
                )
                self._forget()
            except ResponseError as refusal:
                error = self._judge(refusal)
            except RegistryError as failure:
                error = failure
                # How far the registry came is for it to say.
                self.offset = None if self.location else 0
            self.chunked = self.chunked or self.sent > 0
            if self.offset is not None and self.offset > confirmed:
                retries.progressed()
            retries.wait(error)
            # The answer may have been lost after the deed.
            look = self.sent > 0 or check_first

    def _judge(self, refusal: ResponseError) -> RegistryError:
        if "DIGEST_INVALID" in refusal.codes:
            self._check_source()
            # Bytes were damaged on the way: a new session, from the start.
            self._forget()
            refusal.transient = True
        elif self.location and (refusal.status in _SESSION_LOST or _SESSION_CODES.intersection(refusal.codes)):
            self._forget()
            refusal.transient = True
        elif refusal.transient:
            self.offset = None if self.location else 0
        return refusal

    def _forget(self) -> None:
        self.location = ""
        self.offset = 0

    def _exists(self) -> bool:
        answer = self._request("HEAD", self._blob_path(), expect=(200, 404))
        answer.close()
        return answer.status == 200

    def _start(self) -> bool:
        """Opens a session; True where the blob was mounted instead."""
        if self.mount_from:
            # Quay refuses a mount that does not say from where.
            other = self.mount_from.pop(0)
            path = f"/v2/{self.repository}/blobs/uploads/?mount={self.descriptor.digest}&from={other}"
            try:
                answer = self._request("POST", path, expect=(201, 202), extra=(scope(other, PULL),), body=b"")
            except ResponseError:
                # A registry may refuse to mount for any reason of its own: it is only a short cut.
                return self._start()
            if answer.status == 201:
                answer.close()
                return True
            if self.mount_from and self._cancel(answer.header("Location"), answer.url):
                return self._start()
        else:
            answer = self._request("POST", f"/v2/{self.repository}/blobs/uploads/", expect=(202,), body=b"")
        self._moved(answer.header("Location"), answer.url)
        answer.close()
        self.offset = 0
        return False

    def _cancel(self, location: str, url: str) -> bool:
        """Gives back a session that a refused mount began, to try the next repository."""
        try:
            self._request("DELETE", urljoin(url, location), expect=(202, 204)).close()
        except RegistryError:
            return False
        return True

    def _moved(self, location: str, url: str) -> None:
        """Each answer names where to go on; its query is the registry's own business and stays as it is."""
        if not location:
            raise Unexpected(f"{self.client.registry} names no Location for the upload to {self.repository}")
        self.location = urljoin(url, location)

    def _send(self) -> None:
        if self.offset is None:
            self._ask_offset()
        size = self.descriptor.size
        if not self.chunked:
            self._put(0)
            return
        while self.offset is not None and size - self.offset > CHUNK:
            self._patch(self.offset, CHUNK)
        if self.offset is None:
            raise _SessionLost
        self._put(self.offset)

    def _ask_offset(self) -> None:
        """How far the registry came (distribution spec, "Pushing a blob in chunks", the session's status)."""
        try:
            answer = self._request("GET", self.location, expect=(200, 202, 204))
        except ResponseError as refusal:
            if refusal.transient:
                raise
            raise _SessionLost from refusal
        answer.close()
        found = _RANGE.match(answer.header("Range").strip())
        if answer.header("Location"):
            self._moved(answer.header("Location"), answer.url)
        if not found:
            raise _SessionLost
        # docker-registry says 0-0 for nothing as for one byte: one byte is not worth the doubt.
        offset = int(found[1]) + 1
        if offset == 1:
            raise _SessionLost
        if offset > self.descriptor.size:
            raise _SessionLost
        self.offset = offset

    def _patch(self, start: int, length: int) -> None:
        answer = self._request(
            "PATCH",
            self.location,
            expect=(202, 204),
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{start}-{start + length - 1}",
            },
            body=lambda: self._body(start, length),
        )
        answer.close()
        self._moved(answer.header("Location"), answer.url)
        found = _RANGE.match(answer.header("Range").strip())
        if found and int(found[1]) + 1 != start + length:
            # It took less, or it appended a chunk that it had already: what it says is what counts.
            if int(found[1]) + 1 > start + length:
                raise _SessionLost
            self.offset = int(found[1]) + 1
            return
        self.offset = start + length

    def _put(self, start: int) -> None:
        """The rest of the blob, and its digest, which ends the session."""
        length = self.descriptor.size - start
        separator = "&" if "?" in self.location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        if start:
            headers["Content-Range"] = f"{start}-{start + length - 1}"
        answer = self._request(
            "PUT",
            f"{self.location}{separator}digest={self.descriptor.digest}",
            expect=(200, 201, 202, 204),
            headers=headers,
            # requests sends an empty body with a length of 0 only as bytes.
            body=(lambda: self._body(start, length)) if length else b"",
        )
        answer.close()
        if answer.status == 202:
            raise _SessionLost
        said = answer.header("Docker-Content-Digest")
        if said.startswith("sha256:") and said != self.descriptor.digest:
            raise Unexpected(
                f"{self.client.registry}/{self.repository} stored another blob than was sent",
                cause=f"sent {self.descriptor.digest}, stored {said:.80}",
            )

    def _body(self, start: int, length: int) -> _Body:
        return _Body(self, start, length)

    def _check_source(self) -> None:
        """Raises LayoutError when it is our own copy that is damaged."""
        import hashlib

        digest = hashlib.sha256()
        with self.source.open(self.descriptor) as file:
            while data := file.read(1 << 20):
                digest.update(data)
        if digest.hexdigest() != self.descriptor.digest.hex:
            raise LayoutError(
                f"the blob {self.descriptor.digest} to be pushed is damaged",
                cause=f"its content has the digest sha256:{digest.hexdigest()}",
                hint="make the image anew",
            )

    def _blob_path(self) -> str:
        return f"/v2/{self.repository}/blobs/{self.descriptor.digest}"

    def _request(
        self,
        method: str,
        path: str,
        *,
        expect: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        extra: tuple[str, ...] = (),
    ) -> Answer:
        return self.client.session.request(
            method, path, (*self.scopes, *extra), expect=expect, headers=headers, body=body
        )


class _Body(io.RawIOBase):
    """A part of a blob as the body of a request: its length known, opened when it is read."""

    def __init__(self, upload: _Upload, start: int, length: int) -> None:
        self._upload = upload
        self._start = start
        self._length = length
        self._left = length
        self._file: BinaryIO | None = None

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def read(self, n: int = -1) -> bytes:
        if not self._left:
            self._shut()
            return b""
        if self._file is None:
            self._file = self._open()
        data = self._file.read(min(self._left, n) if n >= 0 else self._left)
        if not data:
            raise LayoutError(
                f"the blob {self._upload.descriptor.digest} to be pushed ends {self._left} bytes early",
                hint="make the image anew",
            )
        self._left -= len(data)
        self._upload.sent += len(data)
        if self._upload.progress:
            self._upload.progress(len(data))
        if not self._left:
            self._shut()
        return data

    def _open(self) -> BinaryIO:
        file = self._upload.source.open(self._upload.descriptor)
        if self._start:
            if file.seekable():
                file.seek(self._start)
            else:
                skip = self._start
                while skip and (data := file.read(min(skip, 1 << 20))):
                    skip -= len(data)
        return file

    def _shut(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        self._shut()
        super().close()
