"""Errors of registries. `retry.classify` decides which requests are retried."""

from __future__ import annotations

import copy
from typing import Any, TypeVar
from urllib.parse import urlsplit

from dockless.errors import RegistryError

__all__ = [
    "BlobSourceError",
    "DamagedBlobError",
    "ProtocolError",
    "RegistryConnectionError",
    "RegistryError",
    "RegistryRequestError",
    "ResponseError",
    "TokenDeniedError",
    "UnauthorizedError",
]

Error = TypeVar("Error", bound="RegistryRequestError")


class RegistryRequestError(RegistryError):
    """A request to a registry failed.

    reason       a key of `retry.BY_REASON`; empty for other failures
    retry_after  the seconds for which the registry asks to wait, if it does
    """

    def __init__(
        self, problem: str, *, cause: str = "", hint: str = "", reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(problem, cause=cause, hint=hint)
        self.reason = reason
        self.retry_after = retry_after

    def replace(self: Error, **changes: Any) -> Error:
        """Return a new error with other attributes, and without a traceback."""
        changed = copy.copy(self)
        vars(changed).update(changes)
        changed.__cause__ = self.__cause__
        return changed


class RegistryConnectionError(RegistryRequestError):
    """There was no response to a request of `method`: no connection, an interrupted one, or a timeout.

    `reason` is `unreachable`, `refused`, `restarting`, `certificate`, `plain http` (where TLS was tried), `proxy`, or
    `interrupted`. `is_stale`: the connection had been used before, and ended before a byte of the response: the server
    closed it while it was idle, most probably.
    """

    def __init__(
        self,
        problem: str,
        *,
        cause: str = "",
        hint: str = "",
        reason: str = "interrupted",
        method: str = "",
        is_stale: bool = False,
    ) -> None:
        super().__init__(problem, cause=cause, hint=hint, reason=reason)
        self.method = method
        self.is_stale = is_stale


class ProtocolError(RegistryRequestError):
    """A response that the specification does not allow, or whose content is not what was requested."""


class DamagedBlobError(ProtocolError):
    """A blob does not have its digest. See `RegistryError` for `damaged_once`."""

    def __init__(self, problem: str, *, cause: str = "", hint: str = "", damaged_once: bool) -> None:
        super().__init__(problem, cause=cause, hint=hint, reason="damaged blob" if damaged_once else "")
        self.damaged_once = damaged_once


class BlobSourceError(RegistryRequestError):
    """The registry that an upload reads its blob from failed with `error`, after all attempts at reading."""

    def __init__(self, error: RegistryRequestError) -> None:
        reason = error.reason if isinstance(error, DamagedBlobError) else ""
        super().__init__(error.problem, cause=error.cause, hint=error.hint, reason=reason)
        self.error = error


class ResponseError(RegistryRequestError):
    """A response with an error status to a request of `method` for `path` (without its query).

    `codes` are those of the distribution spec ("Error Codes"), in upper case; `body` is the start of the response body.
    The cause is the registry's message. `is_redirected`: the response is that of another URL, which the registry
    redirected the request to.
    """

    def __init__(
        self,
        method: str,
        url: str,
        status: int,
        *,
        cause: str = "",
        hint: str = "",
        codes: tuple[str, ...] = (),
        body: bytes = b"",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{method} {url}: {status}", cause=cause, hint=hint, retry_after=retry_after)
        self.method = method
        self.path = urlsplit(url).path
        self.status = status
        self.codes = codes
        self.body = body
        self.is_redirected = False


class UnauthorizedError(ResponseError):
    """Status 401 or 403 in spite of all credentials that are available."""


class TokenDeniedError(UnauthorizedError):
    """The token server issued no token for the credentials, or for anonymous access."""
