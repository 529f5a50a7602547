"""Bearer tokens: a challenge traded for a token at its realm (distribution's token authentication and OAuth2 specs)."""

from __future__ import annotations

import base64
import copy
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from dockless.errors import printable
from dockless.oci.canonical_json import load_json
from dockless.registry.auth.challenge import Challenge
from dockless.registry.auth.credentials import Credentials
from dockless.registry.auth.scopes import covers
from dockless.registry.clock import Clock
from dockless.registry.errors import ResponseError, TokenRefused, Unexpected
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.session import HttpRequest, HttpSession
from dockless.registry.http.url_policy import check_destination, redact

_CLIENT_ID = "dockless"
_MAX_ANSWER = 128 * 1024
# The token spec: a missing or smaller lifetime means a minute.
_SHORTEST_LIFE = 60.0
_LONGEST_LIFE = 86400.0
_REFRESH_BEFORE = 15.0
_REFUSAL_LASTS = 30.0


class Token(NamedTuple):
    value: str
    # Of the clock's monotonic time: the wall clock of a registry is not ours.
    expires: float


class TokenSource:
    """The tokens of one user at one registry, by scope. One request for all threads that want the same one."""

    def __init__(self, registry_url: str, http: HttpSession, clock: Clock) -> None:
        self._registry_url = registry_url
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, ...], Token] = {}
        # Until when what was refused is not asked for again: each thread would, until the account is locked.
        self._refused: dict[tuple[tuple[str, ...], Credentials | None], tuple[TokenRefused, float]] = {}
        self._refresh_token = ""

    def get(
        self, challenge: Challenge, scopes: tuple[str, ...], credentials: Credentials | None, refused: str | None
    ) -> str:
        """A token for `scopes` that is not the one in the Authorization header `refused`. Raises RegistryError."""
        with self._lock:
            bad = (refused or "")[len("Bearer ") :]
            had = next((served for served, token in self._tokens.items() if bad and token.value == bad), None)
            if had is not None:
                # What ended this one before its time, a new key or a restart, ended the others, too.
                self._tokens.clear()
                # What it served for beyond this is wanted again.
                if covers(had, scopes):
                    scopes = had
            found = self._current(scopes)
            if found is None:
                error, until = self._refused.get((scopes, credentials), (None, 0.0))
                if error is not None and self._clock.monotonic() < until:
                    # Each thread has one of its own to change and to raise.
                    raise copy.copy(error)
                try:
                    found = self._request(challenge, scopes, credentials)
                except TokenRefused as error:
                    if error.status != 404 and not error.transient:
                        kept = copy.copy(error)
                        self._refused[scopes, credentials] = kept, self._clock.monotonic() + _REFUSAL_LASTS
                    raise
                self._tokens[scopes] = found
            return found.value

    def _current(self, scopes: tuple[str, ...]) -> Token | None:
        """A token that serves for these scopes and is not about to end."""
        now = self._clock.monotonic()
        for had, token in self._tokens.items():
            if token.expires - now > _REFRESH_BEFORE and covers(had, scopes):
                return token
        return None

    def _request(self, challenge: Challenge, scopes: tuple[str, ...], credentials: Credentials | None) -> Token:
        # A fragment is not sent, and what is put behind it is lost.
        realm = challenge.parameters.get("realm", "").partition("#")[0]
        if "://" not in realm:
            raise Unexpected(
                f"{self._registry_url} asks for a token and does not say where to get one",
                cause=f"its realm is {printable(realm, 100)!r}",
            )
        check_destination(realm, self._registry_url, "the token realm", strict=True)
        service = challenge.parameters.get("service", "")
        identity_token = self._refresh_token or (credentials.identity_token if credentials else "")
        if identity_token:
            answer = self._post(realm, service, scopes, identity_token)
            if answer.status not in (404, 405):
                return self._token(answer, realm, refreshed=True)
            answer.read_start(_MAX_ANSWER)
        return self._token(self._get(realm, service, scopes, credentials), realm)

    def _get(self, realm: str, service: str, scopes: tuple[str, ...], credentials: Credentials | None) -> HttpResponse:
        query: list[tuple[str, str]] = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        if credentials and credentials.username:
            query.append(("account", credentials.username))
            headers["Authorization"] = basic(credentials)
        url = realm + ("&" if "?" in realm else "?") + urlencode(query)
        return self._http.send(HttpRequest("GET", url, headers, limited=False))

    def _post(self, realm: str, service: str, scopes: tuple[str, ...], identity_token: str) -> HttpResponse:
        form = urlencode(
            {
                "grant_type": "refresh_token",
                "refresh_token": identity_token,
                "service": service,
                "scope": " ".join(scopes),
                "client_id": _CLIENT_ID,
            }
        ).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._http.send(HttpRequest("POST", realm, headers, form, limited=False))

    def _token(self, answer: HttpResponse, realm: str, *, refreshed: bool = False) -> Token:
        """The token in an answer. Its redirects are not followed: credentials were for the realm alone."""
        shown = redact(realm)
        if answer.status != 200:
            body = answer.read_start(_MAX_ANSWER)
            kind = TokenRefused if answer.status in (400, 401, 403, 404) else ResponseError
            raise kind(
                answer.method, shown, answer.status, body, retry_after=answer.retry_after, secrets=answer.secrets()
            )
        body = answer.read(_MAX_ANSWER, "the token")
        try:
            found: Any = load_json(body.decode("utf-8-sig"))
        except ValueError:
            found = None
        values: Mapping[str, Any] = found if isinstance(found, dict) else {}
        value = values.get("token") or values.get("access_token")
        if not isinstance(value, str) or not value.isascii() or any(c.isspace() or not c.isprintable() for c in value):
            raise Unexpected(
                f"{shown} answered without a usable token",
                hint="the token server of the registry has trouble",
                transient=True,
                attempts=2,
            )
        if refreshed and values.get("refresh_token") and isinstance(values["refresh_token"], str):
            # Only in memory: the file it came from is another program's.
            self._refresh_token = values["refresh_token"]
        return Token(value, self._clock.monotonic() + _life(values.get("expires_in")))


def basic(credentials: Credentials) -> str:
    """The value of a Basic Authorization header, in UTF-8 (RFC 7617)."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


def _life(said: Any) -> float:
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not said >= _SHORTEST_LIFE:
        return _SHORTEST_LIFE
    return float(min(said, _LONGEST_LIFE))
