"""Bearer tokens: a challenge traded for a token at its realm (distribution's token authentication and OAuth2 specs)."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode, urljoin

from dockless.errors import printable
from dockless.registry.auth.challenge import Challenge
from dockless.registry.auth.credentials import Credentials
from dockless.registry.clock import Clock
from dockless.registry.errors import ResponseError, Unauthorized, Unexpected, hint_for, parse_errors
from dockless.registry.hosts import check_destination, redact
from dockless.registry.transport import Answer

_CLIENT_ID = "dockless"
_MAX_ANSWER = 128 * 1024
# The token spec: a missing or smaller lifetime means a minute.
_SHORTEST_LIFE = 60.0
_REFRESH_BEFORE = 15.0

Send = Callable[..., Answer]


class Token(NamedTuple):
    value: str
    # Of the clock's monotonic time: the wall clock of a registry is not ours.
    expires: float


class TokenSource:
    """Tokens of one registry, by scope. One request for all threads that want the same one."""

    def __init__(self, registry_url: str, credentials: Credentials | None, send: Send, clock: Clock) -> None:
        self._registry_url = registry_url
        self._credentials = credentials
        self._send = send
        self._clock = clock
        self._tokens: dict[tuple[str, ...], Token] = {}
        self._locks: dict[tuple[str, ...], threading.Lock] = {}
        self._guard = threading.Lock()
        self._refresh_token = credentials.identity_token if credentials else ""

    def current(self, scopes: tuple[str, ...]) -> str | None:
        """The token for these scopes, unless it is about to end."""
        token = self._tokens.get(scopes)
        return token.value if token and token.expires - self._clock.monotonic() > _REFRESH_BEFORE else None

    def fetch(self, challenge: Challenge, scopes: tuple[str, ...], refused: str | None) -> str:
        """A token for `scopes` that is not `refused`. Raises RegistryError."""
        with self._guard:
            lock = self._locks.setdefault(scopes, threading.Lock())
        with lock:
            token = self.current(scopes)
            if token is None or token == refused:
                found = self._request(challenge, scopes)
                self._tokens[scopes] = found
                token = found.value
            return token

    def _request(self, challenge: Challenge, scopes: tuple[str, ...]) -> Token:
        realm = urljoin(self._registry_url, challenge.parameters.get("realm", ""))
        if "://" not in challenge.parameters.get("realm", ""):
            raise Unexpected(
                f"{self._registry_url} asks for a token and names no realm",
                cause=f"it says {printable(challenge.parameters.get('realm', ''), 100)!r}",
            )
        check_destination(realm, self._registry_url, "the token realm", strict=True)
        service = challenge.parameters.get("service", "")
        if self._refresh_token:
            answer = self._post(realm, service, scopes)
            if answer.status not in (404, 405):
                return self._token(answer, realm, scopes)
        return self._token(self._get(realm, service, scopes), realm, scopes)

    def _get(self, realm: str, service: str, scopes: tuple[str, ...]) -> Answer:
        query: list[tuple[str, str]] = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        credentials = self._credentials
        if credentials and credentials.username:
            query.append(("account", credentials.username))
            headers["Authorization"] = basic(credentials)
        url = realm + ("&" if "?" in realm else "?") + urlencode(query)
        return self._send("GET", url, headers)

    def _post(self, realm: str, service: str, scopes: tuple[str, ...]) -> Answer:
        form = urlencode(
            {
                "grant_type": "refresh_token",
                "refresh_token": self._refresh_token,
                "service": service,
                "scope": " ".join(scopes),
                "client_id": _CLIENT_ID,
            }
        ).encode()
        return self._send("POST", realm, {"Content-Type": "application/x-www-form-urlencoded"}, form)

    def _token(self, answer: Answer, realm: str, scopes: tuple[str, ...]) -> Token:
        body = answer.read(_MAX_ANSWER, "the token")
        shown = redact(realm)
        if answer.status != 200:
            codes, said = parse_errors(body)
            kind = Unauthorized if answer.status in (400, 401, 403) else ResponseError
            raise kind(
                answer.method,
                shown,
                answer.status,
                codes,
                said,
                hint=hint_for(answer.status, codes),
                retry_after=answer.retry_after,
            )
        try:
            found: Any = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        values: Mapping[str, Any] = found if isinstance(found, dict) else {}
        value = values.get("token") or values.get("access_token")
        if not isinstance(value, str) or not value.isascii() or any(c.isspace() or c == "\0" for c in value):
            raise Unexpected(
                f"{shown} answered without a usable token", cause="the answer to a token request", transient=False
            )
        if isinstance(values.get("refresh_token"), str) and self._refresh_token:
            # Only in memory: the file it came from is another program's.
            self._refresh_token = values["refresh_token"]
        life = values.get("expires_in")
        seconds = float(life) if isinstance(life, (int, float)) and not isinstance(life, bool) else 0.0
        return Token(value, self._clock.monotonic() + max(seconds, _SHORTEST_LIFE))


def basic(credentials: Credentials) -> str:
    """The value of a Basic Authorization header, in UTF-8 (RFC 7617)."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")
