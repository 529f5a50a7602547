"""Bearer tokens, requested at the realm of a challenge (distribution's token authentication and OAuth2 specs)."""

from __future__ import annotations

import base64
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
from dockless.registry.errors import ProtocolError, ResponseError, TokenDeniedError
from dockless.registry.http.response import HttpResponse, response_error
from dockless.registry.http.session import HttpRequest, HttpSession
from dockless.registry.http.url_policy import check_destination, redact
from dockless.registry.http.web_page import HINT, describe_page, is_page
from dockless.registry.retry import classify

_CLIENT_ID = "dockless"
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_MAX_RESPONSE = 128 * 1024
# Seconds. The token spec: a missing or shorter lifetime means a minute.
_MIN_LIFETIME = 60.0
_MAX_LIFETIME = 86400.0
_RENEW_BEFORE_EXPIRY = 15.0
# Seconds for which a rejected password is not sent again.
DENIAL_LIFETIME = 30.0
# The number of tokens for which a source knows whether several requests used them.
_MAX_REMEMBERED = 64


class Token(NamedTuple):
    """An access token. `expires` is a time of the monotonic clock: the registry's wall clock may differ from ours."""

    value: str
    expires: float


class TokenSource:
    """The tokens of one user at one registry, by scope. Threads that need the same token share one request."""

    def __init__(self, registry_url: str, http: HttpSession, clock: Clock) -> None:
        self._registry_url = registry_url
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, ...], Token] = {}
        # Denials, and until when they hold: if each thread asked again, the user's account might be locked.
        self._denials: dict[tuple[tuple[str, ...], Credentials | None], tuple[TokenDeniedError, float]] = {}
        self._refresh_token = ""
        # The last tokens, and whether each was returned to more than one caller.
        self._is_shared: dict[str, bool] = {}

    def get(
        self,
        challenge: Challenge,
        scopes: tuple[str, ...],
        credentials: Credentials | None,
        rejected: str | None,
        *,
        unshared: bool = False,
    ) -> str:
        """Return a token for `scopes` other than that in the Authorization header `rejected`. Raises RegistryError.

        With `unshared`, the token is new, and no other caller gets it.
        """
        with self._lock:
            bad = (rejected or "")[len("Bearer ") :]
            served = next((served for served, token in self._tokens.items() if bad and token.value == bad), None)
            if served is not None:
                # Whatever ended the token early, such as a new key or a restart, ended the others too.
                self._tokens.clear()
                # The next token should be valid for all that the rejected one was valid for.
                if covers(served, scopes):
                    scopes = served
            token = None if unshared else self._current(scopes)
            if token is not None:
                self._is_shared[token.value] = True
            else:
                denial, until = self._denials.get((scopes, credentials), (None, 0.0))
                if denial is not None and self._clock.monotonic() < until:
                    raise denial.replace()
                try:
                    token = self._request(challenge, scopes, credentials)
                except TokenDeniedError as error:
                    if error.status != 404 and not classify(error).retryable:
                        until = self._clock.monotonic() + DENIAL_LIFETIME
                        self._denials[scopes, credentials] = error.replace(), until
                    raise
                self._is_shared[token.value] = False
                while len(self._is_shared) > _MAX_REMEMBERED:
                    self._is_shared.pop(next(iter(self._is_shared)))
                if not unshared:
                    self._tokens[scopes] = token
            return token.value

    def is_shared(self, authorization: str) -> bool:
        """Return whether several requests may have used the token of an Authorization header."""
        return self._is_shared.get(authorization[len("Bearer ") :], False)

    def _current(self, scopes: tuple[str, ...]) -> Token | None:
        """Return a token that is valid for the scopes and does not expire soon."""
        now = self._clock.monotonic()
        for served, token in self._tokens.items():
            if token.expires - now > _RENEW_BEFORE_EXPIRY and covers(served, scopes):
                return token
        return None

    def _request(self, challenge: Challenge, scopes: tuple[str, ...], credentials: Credentials | None) -> Token:
        # A fragment is not sent, and a query that is appended after it would be lost.
        realm = challenge.parameters.get("realm", "").partition("#")[0]
        if "://" not in realm:
            raise ProtocolError(
                f"{self._registry_url} requires a token, and does not name a token server",
                cause=f"its realm is '{printable(realm, 100)}'",
            )
        check_destination(realm, self._registry_url, "the token realm", strict=True)
        service = challenge.parameters.get("service", "")
        identity_token = self._refresh_token or (credentials.identity_token if credentials else "")
        if identity_token:
            response = self._post(realm, service, scopes, identity_token)
            if response.status not in (404, 405):
                return self._token(response, realm, refreshed=True)
            response.read_start(_MAX_RESPONSE)
        return self._token(self._get(realm, service, scopes, credentials), realm)

    def _get(self, realm: str, service: str, scopes: tuple[str, ...], credentials: Credentials | None) -> HttpResponse:
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        headers = {}
        if credentials and credentials.username:
            query.append(("account", credentials.username))
            headers["Authorization"] = basic(credentials)
        url = realm + ("&" if "?" in realm else "?") + urlencode(query)
        return self._http.send(HttpRequest("GET", url, headers, for_token=True))

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
        return self._http.send(HttpRequest("POST", realm, _FORM, form, for_token=True))

    def _token(self, response: HttpResponse, realm: str, *, refreshed: bool = False) -> Token:
        """Return the token of a response. Redirects are not followed: the credentials were for the realm only."""
        if response.status != 200:
            kind = TokenDeniedError if response.status in (400, 401, 403, 404) else ResponseError
            # Without the query: the account and the scopes.
            error = response_error(response, kind, url=realm, limit=_MAX_RESPONSE)
            raise error.replace(reason="no token") if classify(error).is_refusal else error
        body = response.read(_MAX_RESPONSE, "the token")
        try:
            document: Any = load_json(body.decode("utf-8-sig"))
        except ValueError:
            document = None
        values: Mapping[str, Any] = document if isinstance(document, dict) else {}
        value = values.get("token") or values.get("access_token")
        if not isinstance(value, str) or not value.isascii() or any(c.isspace() or not c.isprintable() for c in value):
            is_html = is_page(body)
            raise ProtocolError(
                f"{redact(realm)} responded without a usable token",
                cause=describe_page(body) if is_html else "",
                hint=HINT if is_html else "the registry's token server has a problem; try again later",
                reason="no usable token",
            )
        if refreshed and values.get("refresh_token") and isinstance(values["refresh_token"], str):
            # Kept in memory only: the file that the old one came from belongs to another program.
            self._refresh_token = values["refresh_token"]
        return Token(value, self._clock.monotonic() + _lifetime(values.get("expires_in")))


def basic(credentials: Credentials) -> str:
    """Return the value of a Basic Authorization header, in UTF-8 (RFC 7617)."""
    pair = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(pair).decode("ascii")


def _lifetime(expires_in: Any) -> float:
    if isinstance(expires_in, bool) or not isinstance(expires_in, (int, float)) or not expires_in >= _MIN_LIFETIME:
        return _MIN_LIFETIME
    return float(min(expires_in, _MAX_LIFETIME))
