"""Authentication and authorization: Basic users, and tokens with a token server.

Docker's pages "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import base64
import dataclasses
import secrets
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import NamedTuple, Union

from dockless.testing.message import ApiError, Query, Request, Response
from dockless.testing.profiles import Profile
from dockless.testing.routes import Route

_MAX_FORM = 64 * 1024
# Issued tokens that are valid. Beyond it, the oldest one is not.
_MAX_TOKENS = 10_000
# The right to list the repositories, as (name, action), which no repository has.
_CATALOG = ("registry:catalog", "*")


@dataclasses.dataclass(frozen=True)
class User:
    """A user with `actions` (pull, push, delete) in the `repositories` that match a pattern.

    `identity_token` replaces the password in the OAuth2 flow (`identitytoken` in a Docker config).
    """

    name: str
    password: str
    actions: str = "pull,push,delete"
    repositories: str = "*"
    identity_token: str = ""

    def may(self, action: str, repository: str) -> bool:
        """Return whether the user may do an action in a repository."""
        return action in self.actions.split(",") and fnmatchcase(repository, self.repositories)

    def may_list(self) -> bool:
        """Return whether the user may list the repositories: one who may pull from all of them."""
        return self.repositories == "*" and "pull" in self.actions.split(",")


@dataclasses.dataclass(frozen=True)
class BasicAuth:
    """Basic authentication of every request. `anonymous` are the actions without it ("" or "pull")."""

    users: Sequence[User]
    anonymous: str = ""


@dataclasses.dataclass(frozen=True)
class TokenAuth:
    """Token authentication of every request. The registry's token server issues tokens for `lifetime` seconds.

    `anonymous` are the actions of anonymous tokens. `expires_in` overrides the reported lifetime; 0 omits it.
    `token_field` is `token` or `access_token`; by default a response has both.
    """

    users: Sequence[User] = ()
    anonymous: str = "pull"
    lifetime: float = 300.0
    expires_in: int | None = None
    token_field: str = ""


Auth = Union[BasicAuth, TokenAuth, None]


class _Grant(NamedTuple):
    expires: float
    # (repository, action)
    rights: frozenset[tuple[str, str]]


class Access:
    """Checks requests according to `auth`, and issues tokens."""

    def __init__(self, auth: Auth, profile: Profile) -> None:
        if auth is None and profile.token_always:
            auth = TokenAuth(anonymous="pull,push,delete")
        self._auth = auth
        self._profile = profile
        self._lock = threading.Lock()
        self._grants: dict[str, _Grant] = {}

    def check(self, request: Request, route: Route, origin: str) -> None:
        """Raise ApiError 401 with a challenge, or 403. `origin` is this registry's `http://HOST:PORT`."""
        if self._auth is None:
            return
        action = _action(route)
        if isinstance(self._auth, BasicAuth):
            self._check_basic(self._auth, request, route, action, origin)
        else:
            self._check_token(request, route, action, origin)

    def may_pull(self, request: Request, repository: str) -> bool:
        """Return whether the credentials of a checked request also allow `repository`, for mounts."""
        if self._auth is None:
            return True
        if isinstance(self._auth, BasicAuth):
            user = self._basic_user(self._auth.users, request)
            return user.may("pull", repository) if user else "pull" in self._auth.anonymous.split(",")
        grant = self._grant(request)
        return grant is not None and (repository, "pull") in grant.rights

    def token(self, request: Request) -> Response:
        """Serve the token endpoint: GET with or without Basic authentication, POST with a form."""
        if not isinstance(self._auth, TokenAuth):
            raise ApiError(404, "UNSUPPORTED", "this registry has no token server")
        if request.method == "GET":
            form, user = request.query, self._basic_user(self._auth.users, request)
            if request.header("Authorization") and user is None:
                raise ApiError(401, "UNAUTHORIZED", "authentication required", detail="wrong user or password")
        elif request.method == "POST" and self._profile.token_post:
            form = Query.parse((request.read_all(_MAX_FORM) or b"").decode("latin-1"))
            user = self._form_user(self._auth.users, form)
            if user is None:
                raise ApiError(401, "UNAUTHORIZED", "authentication required", detail="wrong grant")
        else:
            raise ApiError(405, "UNSUPPORTED", "The operation is unsupported.")
        scopes = " ".join(form.all("scope")).split()
        return self._grant_token(self._auth, user, scopes)

    def expire_tokens(self) -> None:
        """Make all tokens that were issued invalid."""
        with self._lock:
            self._grants.clear()

    def _check_basic(self, auth: BasicAuth, request: Request, route: Route, action: str, origin: str) -> None:
        challenge = {"WWW-Authenticate": self._profile.basic_challenge.format(host=origin.split("://")[1])}
        user = self._basic_user(auth.users, request)
        if user is None:
            is_open = bool(route.repository) or route.noun == "catalog"
            if not request.header("Authorization") and action in auth.anonymous.split(",") and is_open:
                return
            raise ApiError(401, "UNAUTHORIZED", "authentication required", headers=challenge)
        denied = not user.may(action, route.repository) if route.repository else not user.may_list()
        if denied and route.noun != "ping":
            raise ApiError(403, "DENIED", "requested access to the resource is denied", detail={"action": action})

    def _check_token(self, request: Request, route: Route, action: str, origin: str) -> None:
        host = origin.split("://")[1]
        challenge = f'Bearer realm="{origin}{self._profile.token_path}"'
        challenge += f',service="{self._profile.token_service or host}"'
        if route.repository:
            # The challenge for a push has both actions, so that one token is enough for the push.
            actions = {"push": "pull,push"}.get(action, action)
            challenge += f',scope="repository:{route.repository}:{actions}"'
        elif route.noun == "catalog":
            challenge += ',scope="registry:catalog:*"'
        elif self._profile.ping_scope:
            challenge += f',scope="{self._profile.ping_scope}"'
        grant = self._grant(request)
        if grant is None:
            if request.header("Authorization"):
                challenge += ',error="invalid_token"'
            raise ApiError(401, "UNAUTHORIZED", "authentication required", headers={"WWW-Authenticate": challenge})
        right = _CATALOG if route.noun == "catalog" else (route.repository, action)
        if route.noun != "ping" and right not in grant.rights:
            challenge += ',error="insufficient_scope"'
            raise ApiError(
                401,
                "UNAUTHORIZED",
                "authentication required",
                detail={"repository": route.repository, "action": action},
                headers={"WWW-Authenticate": challenge},
            )

    def _grant(self, request: Request) -> _Grant | None:
        kind, _, token = request.header("Authorization").partition(" ")
        with self._lock:
            found = self._grants.get(token) if kind.lower() == "bearer" else None
        return found if found is not None and time.monotonic() < found.expires else None

    def _grant_token(self, auth: TokenAuth, user: User | None, scopes: list[str]) -> Response:
        rights = set()
        for scope in scopes:
            if scope == ":".join(_CATALOG) and (user.may_list() if user else "pull" in auth.anonymous.split(",")):
                rights.add(_CATALOG)
            kind, _, rest = scope.partition(":")
            repository, _, actions = rest.rpartition(":")
            for action in ("pull", "push", "delete"):
                allowed = user.may(action, repository) if user else action in auth.anonymous.split(",")
                if kind == "repository" and allowed and (action in actions.split(",") or actions == "*"):
                    rights.add((repository, action))
        token = secrets.token_urlsafe(24)
        with self._lock:
            if len(self._grants) >= _MAX_TOKENS:
                del self._grants[next(iter(self._grants))]
            self._grants[token] = _Grant(time.monotonic() + auth.lifetime, frozenset(rights))
        fields = [auth.token_field] if auth.token_field else ["token", "access_token"]
        document: dict[str, object] = dict.fromkeys(fields, token)
        expires_in = auth.expires_in if auth.expires_in is not None else int(auth.lifetime)
        if expires_in:
            document["expires_in"] = expires_in
            document["issued_at"] = datetime.now(timezone.utc).isoformat().replace("+00:00", "Z")
        if user and user.identity_token:
            document["refresh_token"] = user.identity_token
        return Response.of_json(200, document)

    def _basic_user(self, users: Sequence[User], request: Request) -> User | None:
        kind, _, text = request.header("Authorization").partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except ValueError:
            return None
        return next((user for user in users if (user.name, user.password) == (name, password)), None)

    def _form_user(self, users: Sequence[User], form: Query) -> User | None:
        if form.get("grant_type") == "refresh_token":
            given = form.get("refresh_token")
            return next((user for user in users if user.identity_token and user.identity_token == given), None)
        pair = (form.get("username"), form.get("password"))
        return next((user for user in users if (user.name, user.password) == pair), None)


def _action(route: Route) -> str:
    if route.method == "DELETE" and route.noun != "upload":
        return "delete"
    return "push" if route.noun == "upload" or route.method not in ("GET", "HEAD") else "pull"
