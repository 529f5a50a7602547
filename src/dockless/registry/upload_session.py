"""An upload session of a registry, request by request (distribution spec, "Pushing Blobs"). Nothing is repeated."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Union

from dockless.oci.digest import Digest
from dockless.registry.auth.scopes import PULL, PUSH, scope
from dockless.registry.errors import ProtocolError
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.session import READ_TIMEOUT
from dockless.registry.registry_session import RegistrySession

# Bytes, or a function that opens a reader with a `__len__` each time that the body is sent.
Body = Union[bytes, Callable[[], Any]]

# Statuses of a success. What was done must be verified if the status is not that of the specification.
SUCCESS = range(200, 207)
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})\Z")
# A registry may hash or move a blob before it responds: bytes per second, and the longest wait in seconds.
_COMMIT_RATE = 10_000_000
_MAX_COMMIT = 300.0


class UploadSession:
    """One upload into a repository. Each method sends one request, and raises RegistryError.

    location       the URL of the next request; each response may contain a new one. It is a secret: it may permit
                   writing to the session
    chunk_minimum  the smallest number of bytes in a chunk that is not the last one (OCI-Chunk-Min-Length)
    """

    def __init__(self, session: RegistrySession, repository: str, location: str = "") -> None:
        self._session = session
        self._repository = repository
        self.location = location
        self.chunk_minimum = 0

    def open(self, *, mount: Digest | None = None, source: str = "") -> bool:
        """Open the session. Return True if the registry mounted the blob `mount` from `source` instead."""
        path = f"/v2/{self._repository}/blobs/uploads/"
        if mount is None:
            response = self._request("POST", path, expect=(202,), body=b"")
        else:
            # Quay rejects a mount without `from`.
            path = f"{path}?mount={mount}&from={source}"
            response = self._request("POST", path, expect=(201, 202), extra_scopes=(scope(source, PULL),), body=b"")
        response.close()
        if response.status == 201:
            return True
        self._move_to_location(response)
        minimum = response.header("OCI-Chunk-Min-Length")
        self.chunk_minimum = int(minimum[:18]) if minimum.isascii() and minimum.isdigit() else 0
        return False

    def uploaded_bytes(self) -> int:
        """Return how many bytes the registry has, according to itself. docker-registry returns 1 for none, too."""
        response = self._request("GET", self.location, expect=(200, 202, 204))
        response.close()
        if response.header("Location"):
            self._move_to_location(response)
        return _uploaded_bytes(response) or 0

    def send(self, body: Body, start: int, length: int, *, is_whole: bool = False) -> int | None:
        """Send a chunk: `length` bytes from `start`. Return how many bytes the registry then has, if it tells.

        A chunk that `is_whole` is all of the blob. Some registries limit the size of chunks with a Content-Range.
        """
        content_range = {} if is_whole else {"Content-Range": f"{start}-{start + length - 1}"}
        response = self._request(
            "PATCH",
            self.location,
            # ECR responds with 201.
            expect=SUCCESS,
            headers={"Content-Type": "application/octet-stream", **content_range},
            body=body,
        )
        response.close()
        if response.header("Location"):
            self._move_to_location(response)
        return _uploaded_bytes(response)

    def commit(self, digest: Digest, body: Body, start: int, length: int) -> HttpResponse:
        """Send the last `length` bytes, from `start`, and the digest of the blob, which ends the session."""
        separator = "&" if "?" in self.location else "?"
        headers = {"Content-Type": "application/octet-stream"}
        if start and length:
            headers["Content-Range"] = f"{start}-{start + length - 1}"
        response = self._request(
            "PUT",
            f"{self.location}{separator}digest={digest}",
            expect=SUCCESS,
            headers=headers,
            body=body,
            read_timeout=min(_MAX_COMMIT, READ_TIMEOUT + (start + length) / _COMMIT_RATE),
        )
        response.close()
        return response

    def cancel(self) -> None:
        """Delete the session."""
        self._request("DELETE", self.location, expect=(200, 202, 204)).close()

    def _move_to_location(self, response: HttpResponse) -> None:
        """Take the next URL from a response. Its query is opaque and stays unchanged."""
        location = response.header("Location")
        if not location:
            raise ProtocolError(
                f"{self._session.registry} does not name an upload location for {self._repository}",
                cause=f"the response to {response.method} has no Location header",
                reason="upload without location",
            )
        within = f"/v2/{self._repository}/blobs/uploads/"
        self.location = self._session.referenced_url(response, location, "the upload location", within=within)

    def _request(
        self,
        method: str,
        path: str,
        *,
        expect: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        extra_scopes: tuple[str, ...] = (),
        read_timeout: float | None = None,
    ) -> HttpResponse:
        return self._session.request(
            method,
            path,
            (scope(self._repository, PUSH), *extra_scopes),
            expect=expect,
            headers=headers,
            body=body,
            read_timeout=read_timeout,
        )


def _uploaded_bytes(response: HttpResponse) -> int | None:
    match = _RANGE.match(response.header("Range").strip())
    return int(match[1]) + 1 if match else None
