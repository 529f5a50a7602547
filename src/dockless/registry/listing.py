"""Lists that come in pages: tags and referrers (distribution spec, "Content Discovery")."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from dockless.descriptor import Descriptor
from dockless.digest import Digest
from dockless.document import parse_document
from dockless.errors import printable
from dockless.manifest import Index
from dockless.reference import check_repository, check_tag
from dockless.registry.auth.scopes import PULL, scope
from dockless.registry.errors import ResponseError, Unexpected
from dockless.registry.hosts import follow, origin_of
from dockless.registry.transport import Answer

if TYPE_CHECKING:
    from dockless.registry.client import RegistryClient

_MAX_PAGE = 8 * 1024 * 1024
_MAX_PAGES = 10_000
_LINK = re.compile(r'<([^>]*)>\s*;.*?\brel="?next"?', re.IGNORECASE)


def list_tags(client: RegistryClient, repository: str) -> Iterator[str]:
    """See RegistryClient.tags."""
    check_repository(repository)
    for document in _pages(client, repository, f"/v2/{repository}/tags/list", "the tags"):
        tags = document.get("tags") or []
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise Unexpected(f"{client.registry} answered with no list of tags for {repository}")
        for tag in tags:
            yield check_tag(tag)


def list_referrers(
    client: RegistryClient, repository: str, digest: Digest, artifact_type: str
) -> tuple[Descriptor, ...]:
    """See RegistryClient.referrers."""
    query = "?" + urlencode({"artifactType": artifact_type}) if artifact_type else ""
    path = f"/v2/{check_repository(repository)}/referrers/{digest}{query}"
    what = f"the referrers of {digest}"
    found: list[Descriptor] = []
    try:
        for document in _pages(client, repository, path, what):
            found += Index.from_bytes(json.dumps(document).encode(), what).manifests
    except ResponseError as error:
        if error.status not in (400, 404, 405):
            raise
        found = list(_referrers_by_tag(client, repository, digest))
    # A registry need not filter; one that does says so, and filtering again changes nothing.
    return tuple(d for d in found if not artifact_type or d.artifact_type == artifact_type)


def _referrers_by_tag(client: RegistryClient, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
    """Of registries without the API (docker-registry, GHCR): an index under a tag made of the digest."""
    tag = f"{digest.algorithm}-{digest.hex}"
    try:
        index = client.get_manifest(repository, tag).parse(f"{repository}:{tag}")
    except ResponseError as error:
        if error.status == 404:
            return ()
        raise
    return index.manifests if isinstance(index, Index) else ()


def _pages(client: RegistryClient, repository: str, path: str, what: str) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for _ in range(_MAX_PAGES):
        if path in seen:
            raise Unexpected(f"{client.registry} lists {what} of {repository} in a circle")
        seen.add(path)
        answer, document = _page(client, repository, path, what)
        yield document
        following = _next_page(client, answer)
        if following is None:
            return
        path = following
    raise Unexpected(f"{client.registry} lists {what} of {repository} without end", cause=f"{_MAX_PAGES} pages came")


def _page(client: RegistryClient, repository: str, path: str, what: str) -> tuple[Answer, dict[str, Any]]:
    def ask() -> tuple[Answer, dict[str, Any]]:
        answer = client.session.request("GET", path, (scope(repository, PULL),), expect=(200,))
        raw = answer.read(_MAX_PAGE, what)
        return answer, parse_document(raw, f"{what} of {repository}", limit=_MAX_PAGE)

    return client.repeat(ask)


def _next_page(client: RegistryClient, answer: Answer) -> str | None:
    """The Link to the next page (RFC 8288); only the registry's own host may be named."""
    for value in answer.headers("Link"):
        found = _LINK.search(value)
        if found:
            url = follow(answer.url, found[1], "the next page")
            if not url.startswith(("http://", "https://")) or origin_of(url) != origin_of(client.session.base_url):
                raise Unexpected(
                    f"{client.registry} names another host for its next page", cause=printable(found[1], 200)
                )
            return url
    return None
