"""Whether a repository has something: HEAD, and GET for registries and stores that do not permit HEAD."""

from __future__ import annotations

import re

from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.registry.api import RegistryApi
from dockless.registry.auth.scopes import PULL, PUSH
from dockless.registry.errors import ResponseError

# The registry does not support HEAD.
_UNSUPPORTED = (405, 501)
# A store that the registry redirects to: the signature of its URL is for GET alone (S3 answers 403, others 400 or 401).
_NOT_SIGNED = (400, 401, 403)
# Statuses of registries that do not tell whether a blob exists: no permission (ECR without BatchGetImage), or no such
# request (a store that a GET was redirected to).
_NOT_TOLD = frozenset((400, 403, 404, 405, 501))
_TOTAL = re.compile(r"bytes (?:[0-9]{1,18}-[0-9]{1,18}|\*)/([0-9]{1,18})\Z")


def forbids_head(error: ResponseError) -> bool:
    """Return whether a HEAD failed for its method alone, so that GET may succeed."""
    return error.status in _UNSUPPORTED or (error.is_redirected and error.status in _NOT_SIGNED)


def blob_size(api: RegistryApi, repository: str, digest: Digest, *, actions: str = PULL) -> int | None:
    """Return the size of a blob in bytes, -1 if the response has no size; None if the blob does not exist.

    Raises RegistryError. Nothing is retried.
    """
    try:
        return api.head_blob(repository, digest, actions=actions)
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


def has_blob(api: RegistryApi, repository: str, descriptor: Descriptor, *, if_not_told: bool) -> bool:
    """Return whether a repository has a blob, before or after an upload; `if_not_told` if the registry does not tell.

    Raises RegistryError. Nothing is retried.
    """
    try:
        size = blob_size(api, repository, descriptor.digest, actions=PUSH)
    except ResponseError as error:
        if error.status not in _NOT_TOLD:
            raise
        return if_not_told
    # A server that responds to every request with 200 sends a page of another size.
    return size in (-1, descriptor.size)
