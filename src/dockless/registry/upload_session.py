"""An upload that a registry keeps open, call by call (distribution spec, "Pushing Blobs"). Nothing is repeated here."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Union

from dockless.oci.digest import Digest
from dockless.registry.auth.scopes import PULL, PUSH, scope
from dockless.registry.errors import Unexpected
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.session import READ_TIMEOUT
from dockless.registry.http.url_policy import check_destination, follow
from dockless.registry.registry_session import RegistrySession

# Bytes, or what opens a reader with a `__len__` each time that the body is sent.
Body = Union[bytes, Callable[[], Any]]

_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})\Z")
# Seconds for a registry that hashes or moves a blob before it answers: so many bytes in one.
_MOVED_A_SECOND = 10_000_000
_LONGEST_COMMIT = 300.0


class UploadSession:
    """One upload into a repository. Each method is one request, and raises RegistryError.

    location       where the next request goes; each answer may name another. Whoever knows it may write there
    chunk_minimum  the least bytes that the registry wants in a chunk which is not the last (OCI-Chunk-Min-Length)
    """

    def __init__(self, session: RegistrySession, repository: str, location: str = "") -> None:
        self._session = session
        self._repository = repository
        self.location = location
        self.chunk_minimum = 0

    def open(self, *, mount: Digest | None = None, source: str = "") -> bool:
        """Begins the upload. True: the registry mounted the blob `mount` from the repository `source` instead."""
        path = f"/v2/{self._repository}/blobs/uploads/"
        if mount is None:
            answer = self._request("POST", path, expect=(202,), body=b"")
        else:
            # Quay refuses a mount that does not say from where.
            path = f"{path}?mount={mount}&from={source}"
            answer = self._request("POST", path, expect=(201, 202), extra=(scope(source, PULL),), body=b"")
        answer.close()
        if answer.status == 201:
            return True
        self._go_on_at(answer)
        least = answer.header("OCI-Chunk-Min-Length")
        self.chunk_minimum = int(least[:18]) if least.isascii() and least.isdigit() else 0
        return False

    def held(self) -> int:
        """How many bytes the registry says that it holds. docker-registry says 1 for nothing as for one byte."""
        answer = self._request("GET", self.location, expect=(200, 202, 204))
        answer.close()
        if answer.header("Location"):
            self._go_on_at(answer)
        return _held(answer) or 0

    def send(self, body: Body, start: int, length: int) -> int | None:
        """A chunk: `length` bytes from `start`. Returns how many bytes it then says that it holds, if it says so."""
        answer = self._request(
            "PATCH",
            self.location,
            # ECR says 201.
            expect=(200, 201, 202, 204),
            headers={
                "Content-Type": "application/octet-stream",
                "Content-Range": f"{start}-{start + length - 1}",
            },
            body=body,
        )
        answer.close()
        self._go_on_at(answer)
        return _held(answer)

    def commit(self, digest: Digest, body: Body, start: int, length: int) -> HttpResponse:
        """The last `length` bytes, from `start` on, and the digest of all, which ends the session."""
        separator = "&" if "?" in self.location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        if start and length:
            headers["Content-Range"] = f"{start}-{start + length - 1}"
        answer = self._request(
            "PUT",
            f"{self.location}{separator}digest={digest}",
            expect=(200, 201, 202, 204),
            headers=headers,
            body=body,
            read_timeout=min(_LONGEST_COMMIT, READ_TIMEOUT + (start + length) / _MOVED_A_SECOND),
        )
        answer.close()
        return answer

    def cancel(self) -> None:
        """Gives the session back."""
        self._request("DELETE", self.location, expect=(200, 202, 204)).close()

    def _go_on_at(self, answer: HttpResponse) -> None:
        """Each answer names where to go on; its query is the registry's own business and stays as it is."""
        location = answer.header("Location")
        if not location:
            raise Unexpected(
                f"{self._session.registry} does not say where to upload to {self._repository}",
                cause=f"its answer to {answer.method} has no Location",
                attempts=2,
                transient=True,
            )
        location = follow(answer.url, location, "the upload location")
        check_destination(location, self._session.base_url, "the upload location")
        self.location = location

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
    ) -> HttpResponse:
        return self._session.request(
            method,
            path,
            (scope(self._repository, PUSH), *extra),
            expect=expect,
            headers=headers,
            body=body,
            read_timeout=read_timeout,
        )


def _held(answer: HttpResponse) -> int | None:
    found = _RANGE.match(answer.header("Range").strip())
    return int(found[1]) + 1 if found else None
