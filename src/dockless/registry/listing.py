"""Paginated lists: the tags of a repository, and the repositories of a registry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from dockless.errors import InvalidValueError, printable
from dockless.oci.reference import check_repository, check_tag
from dockless.registry.api import RegistryApi
from dockless.registry.errors import ProtocolError, ResponseError, UnauthorizedError
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.url_policy import origin_of, redact
from dockless.registry.http.web_page import check_no_page
from dockless.registry.remote_manifest import check_json
from dockless.registry.retry import Retrier

_MAX_PAGE = 8 * 1024 * 1024
_MAX_PAGES = 10_000
# Bytes of all pages together: about 100,000 tags or referrers, which are kept in memory.
_MAX_TOTAL = 64 * 1024 * 1024
# Tags or repositories of a list. Short tags have four bytes each. The largest repositories have some hundred thousand.
_MAX_NAMES = 1_000_000
# Statuses of registries that do not have the catalog.
_NO_CATALOG = frozenset((404, 405, 501))
# Seconds of all requests together. Lists of 100,000 tags take minutes.
_MAX_SECONDS = 3600.0
_MAX_LINK = 8 * 1024
_NEXT = re.compile(r"""\brel=(?:"next"|'next'|next\b)""", re.IGNORECASE)


def list_tags(api: RegistryApi, retrier: Retrier, repository: str) -> Iterator[str]:
    """Yield all tags of a repository (distribution spec, "Listing Tags"). See RegistryClient.tags."""
    check_repository(repository)
    documents = pages(api, retrier, repository, f"/v2/{repository}/tags/list", "the tags")
    yield from _names(documents, "tags", "tag", f" of {repository}", api.registry, check_tag)


def list_repositories(api: RegistryApi, retrier: Retrier) -> Iterator[str]:
    """Yield the names of all repositories of a registry. See RegistryClient.repositories."""
    # Without `n`: registries have different maximums, and some reject a greater number.
    documents = pages(api, retrier, "", "/v2/_catalog", "the repositories")
    try:
        yield from _names(documents, "repositories", "repository", "", api.registry, check_repository)
    except UnauthorizedError as error:
        hint = f"{error.hint}; many registries list their repositories only for administrators"
        raise error.replace(hint=hint) from None
    except ResponseError as error:
        if error.status not in _NO_CATALOG and "UNSUPPORTED" not in error.codes:
            raise
        raise error.replace(
            problem=f"{api.registry} does not list its repositories",
            cause=": ".join(part for part in (error.problem, error.cause) if part),
            hint="use the web page or the API of the registry, or name a repository",
        ) from None


def _names(
    documents: Iterable[dict[str, Any]], key: str, kind: str, place: str, registry: str, check: Callable[[str], str]
) -> Iterator[str]:
    """Yield the names in the lists at `key` of the documents. `kind` and `place` name them in errors."""
    total = 0
    for document in documents:
        names = document.get(key) or []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ProtocolError(f"the response of {registry} contains no list of {key}{place}")
        total += len(names)
        if total > _MAX_NAMES:
            raise ProtocolError(f"{registry} lists more than {_MAX_NAMES} {key}{place}")
        for name in names:
            try:
                yield check(name)
            except InvalidValueError as error:
                raise ProtocolError(f"{registry} lists an invalid {kind}{place}", cause=str(error)) from None


def pages(api: RegistryApi, retrier: Retrier, repository: str, path: str, label: str) -> Iterator[dict[str, Any]]:
    """Yield the documents at `path` and at the pages that follow. An empty `repository` stands for the catalog.

    Raises RegistryError, also for endless lists.
    """
    seen: set[str] = set()
    total, seconds = 0, 0.0
    clock = retrier.clock
    listing = f"{api.registry} lists {_labeled(label, repository)}"
    for _ in range(_MAX_PAGES):
        if path in seen:
            raise ProtocolError(f"{listing} in a loop")
        seen.add(path)
        begin = clock.monotonic()
        response, size, document = retrier.run(partial(_get_page, api, repository, path, label))
        total, seconds = total + size, seconds + clock.monotonic() - begin
        if total > _MAX_TOTAL:
            raise ProtocolError(f"{listing} in more than {_MAX_TOTAL} bytes")
        if seconds > _MAX_SECONDS:
            raise ProtocolError(f"{listing} too slowly", cause=f"it took more than {_MAX_SECONDS:.0f} s")
        yield document
        following = _next_page(api, repository, response)
        if following is None:
            return
        path = following
    raise ProtocolError(f"{listing} without end", cause=f"there are more than {_MAX_PAGES} pages")


def _get_page(api: RegistryApi, repository: str, path: str, label: str) -> tuple[HttpResponse, int, dict[str, Any]]:
    response = api.get_page(repository, path) if repository else api.get_catalog_page(path)
    raw = response.read(_MAX_PAGE, label)
    check_no_page(raw, f"{label} of {api.registry}/{repository}".rstrip("/"))
    return response, len(raw), check_json(raw, _labeled(label, repository), limit=_MAX_PAGE)


def _labeled(label: str, repository: str) -> str:
    return f"{label} of {repository}" if repository else label


def _next_page(api: RegistryApi, repository: str, response: HttpResponse) -> str | None:
    """Return the URL of the next page, which must be the registry's own."""
    target = linked_page(response.headers("Link"))
    if target is None:
        return None
    within = f"/v2/{repository}/" if repository else "/v2/_catalog"
    url = api.session.referenced_url(response, target, "the next page", within=within)
    if origin_of(url) != origin_of(api.base_url):
        raise ProtocolError(f"{api.registry} names another host for its next page", cause=printable(redact(url), 200))
    return url


def linked_page(headers: Iterable[str]) -> str | None:
    """Return the target of the first link to a next page in the Link headers (RFC 8288); None if there is none."""
    for value in headers:
        for link in value[:_MAX_LINK].split("<")[1:]:
            target, _, parameters = link.partition(">")
            if _NEXT.search(parameters):
                return target
    return None
