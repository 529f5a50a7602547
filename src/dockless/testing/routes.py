"""The operations of the distribution spec ("Endpoints") by path and method."""

from __future__ import annotations

import re
from typing import NamedTuple

from dockless.testing.profiles import Profile

# A noun and the method in lower case are the name of an operation: "blob get", "upload patch".
NOUNS = ("ping", "catalog", "token", "manifest", "tags", "blob", "upload", "referrers", "storage", "other")

_PATHS = (
    ("manifest", re.compile(r"/v2/(?P<repository>.+)/manifests/(?P<reference>[^/]+)\Z")),
    ("upload", re.compile(r"/v2/(?P<repository>.+)/blobs/uploads/?(?P<reference>)\Z")),
    ("blob", re.compile(r"/v2/(?P<repository>.+)/blobs/(?P<reference>[^/]+)\Z")),
    ("tags", re.compile(r"/v2/(?P<repository>.+)/tags/(?P<reference>list)\Z")),
    ("referrers", re.compile(r"/v2/(?P<repository>.+)/referrers/(?P<reference>[^/]+)\Z")),
)


class Route(NamedTuple):
    """An operation; `reference` is a tag, a digest or the ID of a session."""

    noun: str
    method: str
    repository: str = ""
    reference: str = ""

    @property
    def operation(self) -> str:
        """The noun and the method, as in `blob get`."""
        return f"{self.noun} {self.method.lower()}"


class Routes:
    """The paths of a registry, some of which depend on the profile."""

    def __init__(self, profile: Profile) -> None:
        session = re.escape(profile.session_path).replace(r"\{repository\}", "(?P<repository>.+)")
        sessions = re.compile(session.replace(r"\{id\}", r"(?P<reference>[^/]+)") + r"\Z")
        self._paths = (("upload", sessions), *_PATHS)
        self._token_path = profile.token_path

    def find(self, method: str, path: str) -> Route:
        """Return the route of a request."""
        if path in ("/v2/", "/v2"):
            return Route("ping", method)
        if path == "/v2/_catalog":
            return Route("catalog", method)
        if path == self._token_path:
            return Route("token", method)
        if path.startswith("/storage/"):
            return Route("storage", method, reference=path[len("/storage/") :])
        for noun, pattern in self._paths:
            found = pattern.match(path)
            if found:
                return Route(noun, method, found["repository"], found["reference"])
        return Route("other", method)
