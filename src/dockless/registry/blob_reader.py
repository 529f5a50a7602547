"""Blobs read from a registry: verified to the last byte, taken up again where a connection broke."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.errors import RegistryError, ResponseError, Unexpected

if TYPE_CHECKING:
    from dockless.registry.client import RegistryClient
    from dockless.registry.http.response import HttpResponse

T = TypeVar("T")

_BUFFER = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/(?:[0-9]{1,18}|\*)\Z")


class RegistryContent:
    """The blobs of a repository, as a ContentSource."""

    def __init__(self, client: RegistryClient, repository: str) -> None:
        self._client = client
        self._repository = repository
        self._damaged: set[Digest] = set()

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """The blob's bytes. Reading to the end verifies them; raises RegistryError."""
        if descriptor.media_type in media_types.MANIFESTS | media_types.INDEXES:
            return io.BytesIO(self._client.get_manifest(self._repository, descriptor.digest).raw)
        reader = _BlobReader(self._client, self._repository, descriptor, self._damaged)
        return io.BufferedReader(reader, _BUFFER)


class _BlobReader(io.RawIOBase):
    """A blob's bytes. Who seeks gets a part of it, which cannot be verified: that is for whoever puts it together."""

    def __init__(self, client: RegistryClient, repository: str, descriptor: Descriptor, damaged: set[Digest]) -> None:
        self._client = client
        self._repository = repository
        self._descriptor = descriptor
        self._what = f"the blob {descriptor.digest} of {client.registry}/{repository}"
        self._damaged = damaged
        self._retries = client.retries()
        self._hash = hashlib.sha256()
        self._whole = True
        self._at = 0
        self._confirmed = 0
        self._answer: HttpResponse | None = None
        self._part_ends = 0
        # A blob that is not there is known when it is opened, not in the midst of an upload.
        self._again(self._connect)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence != io.SEEK_SET or not 0 <= offset <= self._descriptor.size:
            raise io.UnsupportedOperation("a blob of a registry is read from a place that is given from its start")
        if offset != self._at:
            self._drop()
            self._at = self._confirmed = offset
            self._whole = False
        return offset

    def readinto(self, buffer: Any) -> int:
        size = self._descriptor.size
        if self._at == size:
            return 0
        view = memoryview(buffer).cast("B")
        data = self._again(lambda: self._read(min(len(view), size - self._at)))
        view[: len(data)] = data
        if self._whole:
            self._hash.update(data)
        self._at += len(data)
        if self._at - self._confirmed >= _BUFFER:
            self._confirmed = self._at
            self._retries.progressed()
        if self._at == size and self._whole:
            self._finish()
        return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _again(self, ask: Callable[[], T]) -> T:
        while True:
            try:
                return ask()
            except RegistryError as error:
                self._drop()
                self._retries.wait(error)

    def _read(self, n: int) -> bytes:
        if self._answer is not None and self._at == self._part_ends:
            self._drop()
        if self._answer is None:
            self._answer = self._connect()
        data = self._answer.read_some(n)
        if not data:
            raise self._cut_off()
        return data

    def _connect(self) -> HttpResponse:
        """Opens the rest of the blob, and makes sure that it is the rest."""
        try:
            answer = self._client.get_blob(self._repository, self._descriptor.digest, self._at)
        except ResponseError as error:
            if error.status != 416 or not self._at:
                raise
            # A store that does not know of ranges, or of this one.
            answer = self._client.get_blob(self._repository, self._descriptor.digest)
        size = self._descriptor.size
        start, end = 0, size
        if answer.status == 206:
            found = _CONTENT_RANGE.match(answer.header("Content-Range"))
            end = int(found[2]) + 1 if found else 0
            # Some give less at a time than was asked for.
            right = found and int(found[1]) == self._at and self._at < end <= size
            if not right or answer.length not in (None, end - self._at):
                answer.close()
                raise Unexpected(f"{self._what} came in another part than was asked for", transient=True)
            start = self._at
        elif answer.length not in (None, size):
            answer.close()
            raise Unexpected(
                f"{self._what} has another size than it should", cause=f"{answer.length} bytes, not {size}"
            )
        self._answer, self._part_ends = answer, end
        skip = self._at - start
        while skip:
            # Ranges are not known here: what came already is read again and thrown away.
            data = answer.read_some(min(skip, _BUFFER))
            if not data:
                raise self._cut_off()
            skip -= len(data)
        return answer

    def _cut_off(self) -> Unexpected:
        cause = f"{self._at} of {self._descriptor.size} bytes came"
        return Unexpected(f"{self._what} was cut off", cause=cause, transient=True)

    def _finish(self) -> None:
        self._drop()
        digest = self._descriptor.digest
        found = Digest("sha256:" + self._hash.hexdigest())
        if found != digest:
            # Damaged on the way or in the store: whoever can begin anew may do so once.
            once = digest not in self._damaged
            self._damaged.add(digest)
            error = Unexpected(
                f"{self._what} is damaged",
                cause=f"its digest is {found}",
                hint="do not use this image: the registry or something before it changed it",
                transient=once,
            )
            error.damaged_once = once
            raise error

    def _drop(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None
