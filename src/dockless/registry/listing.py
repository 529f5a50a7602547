"""Paginated lists, and the list of tags (distribution spec, "Content Discovery")."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from dockless.errors import InvalidValueError, printable
from dockless.oci.canonical_json import parse_document
from dockless.oci.reference import check_repository, check_tag
from dockless.registry.api import RegistryApi, check_no_page
from dockless.registry.errors import ProtocolError
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.url_policy import origin_of, redact
from dockless.registry.retry import Retrier

_MAX_PAGE = 8 * 1024 * 1024
_MAX_PAGES = 10_000
# Bytes of all pages together: about 100,000 tags or referrers, which are kept in memory.
_MAX_TOTAL = 64 * 1024 * 1024
# Short tags have four bytes each. The largest repositories have some hundred thousand tags.
_MAX_TAGS = 1_000_000
# Seconds of all requests together. Lists of 100,000 tags take minutes.
_MAX_SECONDS = 3600.0
_MAX_LINK = 8 * 1024
_NEXT = re.compile(r"""\brel=(?:"next"|'next'|next\b)""", re.IGNORECASE)


def list_tags(api: RegistryApi, retrier: Retrier, repository: str) -> Iterator[str]:
    """Yield all tags of a repository. See RegistryClient.tags."""
    check_repository(repository)
    total = 0
    for document in pages(api, retrier, repository, f"/v2/{repository}/tags/list", "the tags"):
        tags = document.get("tags") or []
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise ProtocolError(f"the response of {api.registry} contains no list of tags for {repository}")
        total += len(tags)
        if total > _MAX_TAGS:
            raise ProtocolError(f"{api.registry} lists more than {_MAX_TAGS} tags of {repository}")
        for tag in tags:
            try:
                yield check_tag(tag)
            except InvalidValueError as error:
                raise ProtocolError(f"{api.registry} lists an invalid tag of {repository}", cause=str(error)) from None


def pages(api: RegistryApi, retrier: Retrier, repository: str, path: str, label: str) -> Iterator[dict[str, Any]]:
    """Yield the documents at `path` and at the pages that follow. Raises RegistryError, also for endless lists."""
    seen: set[str] = set()
    total, seconds = 0, 0.0
    clock = retrier.clock
    listing = f"{api.registry} lists {label} of {repository}"
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
    response = api.get_page(repository, path)
    raw = response.read(_MAX_PAGE, label)
    check_no_page(raw, f"{label} of {api.registry}/{repository}")
    return response, len(raw), parse_document(raw, f"{label} of {repository}", limit=_MAX_PAGE)


def _next_page(api: RegistryApi, repository: str, response: HttpResponse) -> str | None:
    """Return the URL of the next page, which must be the registry's own."""
    target = linked_page(response.headers("Link"))
    if target is None:
        return None
    url = api.session.referenced_url(response, target, "the next page", within=f"/v2/{repository}/")
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
