"""Lists that come in pages, and that of tags (distribution spec, "Content Discovery")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dockless.errors import InvalidValue, printable
from dockless.oci.canonical_json import parse_document
from dockless.oci.reference import check_repository, check_tag
from dockless.registry.auth.scopes import PULL, scope
from dockless.registry.errors import Unexpected
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.url_policy import check_destination, follow, origin_of

if TYPE_CHECKING:
    from dockless.registry.client import RegistryClient

_MAX_PAGE = 8 * 1024 * 1024
_MAX_PAGES = 10_000
# Of all pages together: some 100,000 tags or referrers, which are kept in memory.
_MOST_BYTES = 64 * 1024 * 1024
_LONGEST_LINK = 8 * 1024
_NEXT = re.compile(r"""\brel=(?:"next"|'next'|next\b)""", re.IGNORECASE)


def list_tags(client: RegistryClient, repository: str) -> Iterator[str]:
    """See RegistryClient.tags."""
    check_repository(repository)
    for document in pages(client, repository, f"/v2/{repository}/tags/list", "the tags"):
        tags = document.get("tags") or []
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise Unexpected(f"{client.registry} answered with no list of tags for {repository}")
        for tag in tags:
            try:
                yield check_tag(tag)
            except InvalidValue as error:
                raise Unexpected(
                    f"{client.registry} lists a tag of {repository} that is none", cause=str(error)
                ) from None


def pages(client: RegistryClient, repository: str, path: str, what: str) -> Iterator[dict[str, Any]]:
    """The documents at `path` and at the links to the next from there. Raises RegistryError, also for endless ones."""
    seen: set[str] = set()
    left = _MOST_BYTES
    for _ in range(_MAX_PAGES):
        if path in seen:
            raise Unexpected(f"{client.registry} lists {what} of {repository} in a circle")
        seen.add(path)
        answer, size, document = _page(client, repository, path, what)
        left -= size
        if left < 0:
            raise Unexpected(f"{client.registry} lists {what} of {repository} in more than {_MOST_BYTES} bytes")
        yield document
        following = _next_page(client, answer)
        if following is None:
            return
        path = following
    raise Unexpected(f"{client.registry} lists {what} of {repository} without end", cause=f"{_MAX_PAGES} pages came")


def _page(client: RegistryClient, repository: str, path: str, what: str) -> tuple[HttpResponse, int, dict[str, Any]]:
    def ask() -> tuple[HttpResponse, int, dict[str, Any]]:
        answer = client.session.request("GET", path, (scope(repository, PULL),), expect=(200,))
        raw = answer.read(_MAX_PAGE, what)
        return answer, len(raw), parse_document(raw, f"{what} of {repository}", limit=_MAX_PAGE)

    return client.repeat(ask)


def _next_page(client: RegistryClient, answer: HttpResponse) -> str | None:
    """The Link to the next page (RFC 8288); only the registry's own host may be named."""
    for value in answer.headers("Link"):
        for link in value[:_LONGEST_LINK].split("<")[1:]:
            target, _, parameters = link.partition(">")
            if not _NEXT.search(parameters):
                continue
            url = follow(answer.url, target, "the next page")
            check_destination(url, client.session.base_url, "the next page")
            if origin_of(url) != origin_of(client.session.base_url):
                raise Unexpected(
                    f"{client.registry} names another host for its next page", cause=printable(target, 200)
                )
            return url
    return None
