"""The endpoints of the distribution spec."""

from __future__ import annotations

from dockless.errors import InvalidValueError
from dockless.oci.reference import check_repository
from dockless.testing.access import Access
from dockless.testing.blobs import Blobs
from dockless.testing.content import Storage
from dockless.testing.manifests import Manifests
from dockless.testing.message import ApiError, Request, Response
from dockless.testing.profiles import Profile
from dockless.testing.routes import Route
from dockless.testing.tags import list_referrers, list_repositories, list_tags
from dockless.testing.uploads import Uploads


class Api:
    """Handles requests, without sockets."""

    def __init__(self, storage: Storage, profile: Profile, access: Access, origin: str) -> None:
        self._storage = storage
        self._profile = profile
        self._access = access
        self._origin = origin
        self.blobs = Blobs(storage, profile)
        manifests = Manifests(storage, profile)
        uploads = Uploads(storage, profile)
        self._uploads = uploads
        self._operations = {
            "ping get": self._ping,
            "ping head": self._ping,
            "catalog get": self._catalog,
            "manifest get": manifests.get,
            "manifest head": manifests.get,
            "manifest put": manifests.put,
            "manifest delete": manifests.delete,
            "tags get": self._tags,
            "referrers get": self._referrers,
            "blob get": self.blobs.get,
            "blob head": self.blobs.get,
            "blob delete": self.blobs.delete,
            "upload post": self._start,
            "upload get": uploads.status,
            "upload patch": uploads.patch,
            "upload put": uploads.put,
            "upload delete": uploads.cancel,
        }

    def handle(self, request: Request, route: Route) -> Response:
        """Return the response. Raises ApiError."""
        if route.noun == "token":
            return self._access.token(request)
        if route.noun == "other":
            return Response.make(404, {"Content-Type": "text/plain; charset=utf-8"}, b"404 page not found\n")
        operation = self._operations.get(route.operation)
        if operation is None or (route.noun == "upload" and (route.method == "POST") != (not route.reference)):
            return Response.make(405, {"Content-Type": "text/plain; charset=utf-8"}, b"Method not allowed\n")
        self._access.check(request, route, self._origin)
        if route.repository:
            try:
                check_repository(route.repository)
            except InvalidValueError as error:
                raise ApiError(400, "NAME_INVALID", "invalid repository name", detail=str(error)) from None
        return operation(request, route)

    def fetch(self, request: Request, route: Route) -> Response:
        """Return the response of the object store to which blobs are redirected. Raises ApiError."""
        if route.operation not in ("storage get", "storage head"):
            raise ApiError(404, "UNSUPPORTED", "this is not a registry")
        return self.blobs.fetch(request, route)

    def _ping(self, request: Request, route: Route) -> Response:
        return Response.make(200, {"Content-Type": "application/json; charset=utf-8"}, b"{}")

    def _catalog(self, request: Request, route: Route) -> Response:
        return list_repositories(self._storage.repositories(), request)

    def _tags(self, request: Request, route: Route) -> Response:
        return list_tags(self._storage, self._profile, request, route)

    def _referrers(self, request: Request, route: Route) -> Response:
        return list_referrers(self._storage, self._profile, request, route)

    def _start(self, request: Request, route: Route) -> Response:
        mountable = [name for name in self._storage.repositories() if self._access.may_pull(request, name)]
        return self._uploads.start(request, route, mountable)
