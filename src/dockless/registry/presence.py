"""Whether a repository has something: HEAD, and GET for registries and stores that do not permit HEAD."""

from __future__ import annotations

import re

from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.api import RegistryApi
from dockless.registry.auth.scopes import PULL, PUSH
from dockless.registry.errors import RegistryConnectionError, RegistryError, ResponseError, TokenDeniedError
from dockless.registry.retry import classify

# The registry does not support HEAD.
_UNSUPPORTED = (405, 501)
# A store that the registry redirects to: the signature of its URL is for GET alone (S3 answers 403, others 400).
_NOT_SIGNED = (400, 403)
_MAX_FAILURES = 3
_TOTAL = re.compile(r"bytes (?:[0-9]{1,18}-[0-9]{1,18}|\*)/([0-9]{1,18})\Z")


def forbids_head(error: ResponseError) -> bool:
    """Return whether a HEAD failed for its method alone, so that GET may succeed."""
    return error.status in _UNSUPPORTED or (error.is_redirected and error.status in _NOT_SIGNED)


def blob_size(
    api: RegistryApi, repository: str, digest: Digest, *, actions: str = PULL, confirm: bool = False
) -> int | None:
    """Return the size of a blob in bytes, -1 if the response has no size; None if the blob does not exist.

    With `confirm`, a blob is absent only if GET says so, too. Raises RegistryError. Nothing is retried.
    """
    try:
        size = api.head_blob(repository, digest, actions=actions)
        if size is not None or not confirm:
            return size
    except ResponseError as error:
        if not forbids_head(error):
            raise
    try:
        # One byte shows that the blob exists. It is not verified.
        response = api.get_blob(repository, digest, 0, 1)
    except ResponseError as error:
        if error.status == 404:
            return None
        if error.status == 416:
            # An empty blob has no first byte.
            return 0
        raise
    response.close()
    if response.status == 206:
        total = _TOTAL.match(response.header("Content-Range"))
        return int(total[1]) if total else -1
    return -1 if response.length is None else response.length


class BlobCheck:
    """Checks whether a repository has a blob, before and after an upload.

    Some registries do not tell: without a permission (ECR: BatchGetImage), or by a status that is neither 200 nor 404.
    The check before an upload only saves the upload.
    """

    def __init__(self, api: RegistryApi, repository: str, descriptor: Descriptor) -> None:
        self._api = api
        self._repository = repository
        self._descriptor = descriptor
        self._failures = 0

    def exists(self, *, is_sent: bool) -> bool:
        """Return whether the blob exists; `is_sent`, whether it was just sent, if the registry does not tell.

        Raises RegistryError for an error that may be temporary, and for credentials that are not accepted.
        """
        try:
            size = blob_size(self._api, self._repository, self._descriptor.digest, actions=PUSH, confirm=is_sent)
        except ResponseError as error:
            is_of_blob = error.is_redirected or "/blobs/" in error.path
            if error.status == 401 or isinstance(error, TokenDeniedError) or not is_of_blob:
                # Without a token, no other request would succeed.
                raise
            verdict = classify(error)
            if verdict.is_temporary:
                self._fail(error, verdict.attempts)
            return is_sent
        except RegistryConnectionError as error:
            if error.reason != "interrupted":
                raise
            self._fail(error)
            return is_sent
        # A server that responds to every request with 200 sends a page of another size.
        return size in (-1, self._descriptor.size)

    def _fail(self, error: RegistryError, attempts: int = 0) -> None:
        """Raise `error`, but not repeatedly: as some proxies fail at HEAD only, the check is given up first."""
        self._failures += 1
        if self._failures < (attempts or _MAX_FAILURES):
            raise error
