"""The one rule for redirects: which are followed, and where credentials go.

1. Credentials belong to one repository of one origin (scheme, host and port), and are sent there only. Paths of the
   origin outside of /v2/ count as the repository's: some registries have their uploads there.
2. Once a redirect has left the repository or the origin, the rest of the chain carries no credentials, even if the
   chain returns: the host in between is not trusted, and would choose what is done with them (as in Go,
   CVE-2024-45336). For the same reason a 401 at the end of such a chain is not answered.
3. A host outside the origin cannot redirect a request that may change something back to the origin.
4. Status 301, 302 and 303 are followed for GET and HEAD only: they would turn other methods into GET.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from dockless.registry.errors import ProtocolError
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.session import HttpRequest, HttpSession
from dockless.registry.http.url_policy import Origin, is_below, is_of_repository, origin_of, redact, resolve

_MAX_REDIRECTS = 10
_SAFE_METHODS = ("GET", "HEAD")


class Followed(NamedTuple):
    """The response at the end of a chain of redirects, and whether a redirect led out of the repository."""

    response: HttpResponse
    left: bool


def send_following_redirects(
    session: HttpSession,
    request: HttpRequest,
    check: Callable[[str, str], None],
    *,
    origin: Origin | None = None,
    repository: str = "",
    authorization: str | None = None,
) -> Followed:
    """Send a request and follow the redirects that it meets.

    `check` is called with each URL that redirects and its target, and raises ProtocolError for a target that is not
    allowed. `authorization` is the Authorization header for `repository` of `origin`. Raises RegistryError.
    """
    left_origin = left_repository = False
    for _ in range(_MAX_REDIRECTS + 1):
        left_origin = left_origin or origin_of(request.url) != origin
        left_repository = left_repository or left_origin or not is_of_repository(request.url, repository)
        headers = dict(request.headers)
        if authorization is not None and not left_repository:
            headers["Authorization"] = authorization
        response = session.send(request._replace(headers=headers))
        try:
            target = _target(response)
        except ProtocolError:
            response.close()
            raise
        if target is None:
            return Followed(response, left_repository)
        response.close()
        check(request.url, target)
        if left_origin and request.method not in _SAFE_METHODS and origin_of(target) == origin:
            raise ProtocolError(
                f"{urlsplit(request.url).netloc} redirects a {request.method} back to {urlsplit(target).netloc}",
                hint="no request was sent to this URL: only the registry itself can redirect such a request to itself",
            )
        request = request._replace(url=target)
    raise ProtocolError(
        f"{request.method} {redact(request.url)} redirects more than {_MAX_REDIRECTS} times",
        hint="the registry redirects in a loop; the addresses of the registry or of its storage are misconfigured",
    )


def resolve_reference(
    response: HttpResponse, reference: str, label: str, base_url: str, check: Callable[[str], None], *, within: str
) -> str:
    """Return the URL that a Location or Link header of a response refers to, for a further request with credentials.

    `check` is called with the URL, and raises ProtocolError if it is not allowed. A host outside the registry's origin
    can refer to paths of the registry only below `within`. Raises ProtocolError.
    """
    url = resolve(response.url, reference, label)
    check(url)
    is_own = origin_of(url) == origin_of(base_url)
    if is_own and origin_of(response.url) != origin_of(base_url) and not is_below(url, within):
        raise ProtocolError(
            f"{label} that {urlsplit(response.url).netloc} names is not below {within} of the registry",
            hint="no request was sent to this URL: only the registry itself can refer to other paths of the registry",
        )
    return url


def _target(response: HttpResponse) -> str | None:
    """Return the URL that the response redirects to; None if there is none to follow."""
    location = response.header("Location")
    followed = (301, 302, 303, 307, 308) if response.method in _SAFE_METHODS else (307, 308)
    if response.status not in followed or not location:
        return None
    return resolve(response.url, location, "the redirect")
