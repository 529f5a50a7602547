"""Requests to one registry: scheme, credentials, redirects and error statuses, below the operations of the spec."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urljoin

from dockless.reference import DOCKER_HUB
from dockless.registry.auth.chain import find_credentials
from dockless.registry.auth.challenge import Challenge, choose_challenge, parse_challenges
from dockless.registry.auth.credentials import Credentials, Found
from dockless.registry.auth.tokens import TokenSource, basic
from dockless.registry.clock import Clock
from dockless.registry.errors import (
    ConnectionFailed,
    ResponseError,
    Unauthorized,
    Unexpected,
    hint_for,
    parse_errors,
)
from dockless.registry.hosts import check_destination, is_loopback, origin_of, redact, split_host
from dockless.registry.transport import Answer, Transport, verify_setting

logger = logging.getLogger("dockless.registry")

_MAX_REDIRECTS = 10
_MAX_ERROR_BODY = 64 * 1024
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_DOCKER_HUB_HOST = "registry-1.docker.io"

PULL = "pull"
PUSH = "pull,push"


def scope(repository: str, actions: str) -> str:
    """A scope of the token spec: one repository and what is to be done there."""
    return f"repository:{repository}:{actions}"


class Session:
    """A registry as one who speaks HTTP to it. Safe for threads."""

    def __init__(
        self,
        registry: str,
        *,
        credentials: Credentials | None,
        auth_file: str | None,
        insecure: bool,
        ca_file: str | None,
        jobs: int,
        clock: Clock,
        environ: Mapping[str, str] | None,
    ) -> None:
        env = os.environ if environ is None else environ
        self.registry = registry
        self.clock = clock
        self._given = credentials
        self._auth_file = auth_file
        self._environ = env
        self._host = _DOCKER_HUB_HOST if registry == DOCKER_HUB else registry
        self._transport = Transport(jobs=jobs, verify=verify_setting(insecure, ca_file, env), clock=clock, environ=env)
        self._plain_allowed = insecure or is_loopback(split_host(registry))
        self._scheme = "" if self._plain_allowed else "https"
        self._lock = threading.RLock()
        self._challenge: Challenge | None = None
        self._found: dict[str, Found] = {}
        self._tokens: dict[str, TokenSource] = {}

    @property
    def base_url(self) -> str:
        return f"{self._scheme or 'https'}://{self._host}"

    def close(self) -> None:
        self._transport.close()

    def request(
        self,
        method: str,
        path: str,
        scopes: tuple[str, ...],
        *,
        expect: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> Answer:
        """One request with credentials, redirects followed, whose status is in `expect`.

        `path` is one of the registry or a whole URL that it gave. `body` is bytes or a function that opens it anew.
        Raises RegistryError; what to try again is for the caller.
        """
        self._find_scheme()
        url = path if "://" in path else self.base_url + path
        answer = self._authorised(method, url, scopes, headers or {}, body)
        if answer.status in expect:
            return answer
        raise self._refusal(answer, scopes)

    def _authorised(
        self, method: str, url: str, scopes: tuple[str, ...], headers: Mapping[str, str], body: Any
    ) -> Answer:
        """Sends with the credentials we know to be wanted; on 401, once more with fresh ones."""
        authorization = self._authorization(scopes, refused=None) if self._is_mine(url) else None
        answer = self._follow(method, url, headers, body, authorization)
        if answer.status != 401 or not self._is_mine(answer.url):
            return answer
        challenge = choose_challenge(parse_challenges(answer.headers("WWW-Authenticate")))
        if challenge is None:
            if self._challenge is None:
                return answer
        else:
            scopes = _with_asked(scopes, challenge)
            self._challenge = challenge
        fresh = self._authorization(scopes, refused=authorization)
        if fresh is None or (fresh == authorization and fresh.startswith("Basic ")):
            return answer
        answer.read(_MAX_ERROR_BODY, "the error")
        return self._follow(method, url, headers, body, fresh)

    def _authorization(self, scopes: tuple[str, ...], refused: str | None) -> str | None:
        """The Authorization header that the last challenge asks for, or None while none was seen."""
        challenge = self._challenge
        if challenge is None:
            return None
        repository = scopes[0].split(":")[1] if scopes else ""
        found = self._credentials(repository)
        credentials = found.credentials
        if credentials and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        if challenge.scheme == "basic":
            return basic(credentials) if credentials and credentials.username else None
        key = credentials.source + credentials.username if credentials else ""
        with self._lock:
            tokens = self._tokens.setdefault(
                key, TokenSource(self.base_url, credentials, self._transport.send, self.clock)
            )
        if refused is None:
            token = tokens.current(scopes)
            if token is not None:
                return f"Bearer {token}"
        return "Bearer " + tokens.fetch(challenge, scopes, (refused or "").replace("Bearer ", "", 1) or None)

    def _credentials(self, repository: str) -> Found:
        with self._lock:
            if repository not in self._found:
                self._found[repository] = find_credentials(
                    self.registry,
                    repository,
                    given=self._given,
                    auth_file=self._auth_file,
                    environ=self._environ,
                )
            return self._found[repository]

    def _follow(
        self, method: str, url: str, headers: Mapping[str, str], body: Any, authorization: str | None
    ) -> Answer:
        for _ in range(_MAX_REDIRECTS + 1):
            sent = dict(headers)
            # To the registry's own origin alone: a signed URL elsewhere must not get it (and S3 refuses one that does).
            if authorization is not None and self._is_mine(url):
                sent["Authorization"] = authorization
            if not self._is_mine(url):
                check_destination(url, self.base_url, "the redirect or upload location")
            logger.debug("%s %s", method, redact(url))
            answer = self._transport.send(method, url, sent, body() if callable(body) else body)
            logger.debug("%s %s: %d", method, redact(url), answer.status)
            if answer.status not in _REDIRECTS or not answer.header("Location"):
                return answer
            if method not in ("GET", "HEAD") and answer.status not in (307, 308):
                return answer
            url = urljoin(answer.url, answer.header("Location"))
            answer.close()
            check_destination(url, self.base_url, "the redirect")
        raise Unexpected(f"{method} {redact(url)} redirects more than {_MAX_REDIRECTS} times")

    def _is_mine(self, url: str) -> bool:
        return origin_of(url) == origin_of(self.base_url)

    def _find_scheme(self) -> None:
        """Whether a registry that may speak plain http does: asked once, and never with credentials."""
        if self._scheme:
            return
        with self._lock:
            if self._scheme:
                return
            local = is_loopback(split_host(self.registry))
            # A registry on loopback mostly speaks http, another that we are told to trust mostly https.
            order = ("http", "https") if local else ("https", "http")
            first: ConnectionFailed | None = None
            for scheme in order:
                try:
                    answer = self._transport.send("GET", f"{scheme}://{self._host}/v2/", {}, timeouts=(15.0, 30.0))
                except ConnectionFailed as error:
                    if first is None:
                        first = error
                    if "certificate" in error.cause or "refused" in error.cause or "no host" in error.cause:
                        raise
                    continue
                wrong = answer.status == 400 and scheme == "http"
                if answer.status == 401:
                    self._challenge = choose_challenge(parse_challenges(answer.headers("WWW-Authenticate")))
                answer.close()
                # Go and nginx answer http on their https port with 400.
                if not wrong:
                    self._scheme = scheme
                    return
            if first is not None:
                raise first
            raise Unexpected(f"{self._host} speaks neither http nor https as a registry does")

    def _refusal(self, answer: Answer, scopes: tuple[str, ...]) -> ResponseError:
        body = b"" if answer.method == "HEAD" else answer.read(_MAX_ERROR_BODY, "the error")
        answer.close()
        codes, said = parse_errors(body)
        shown = redact(answer.url)
        if answer.status in (401, 403):
            repository = scopes[0].split(":")[1] if scopes else ""
            explained = self._credentials(repository).explain()
            hint = f"{explained}; log in to {self.registry} with the right to do this"
            return Unauthorized(answer.method, shown, answer.status, codes, said, hint=hint)
        return ResponseError(
            answer.method,
            shown,
            answer.status,
            codes,
            said,
            hint=hint_for(answer.status, codes),
            retry_after=answer.retry_after,
        )

    def explain_auth(self, repository: str = "") -> str:
        """Which sources of credentials were asked for this registry, and which is used; never a secret."""
        return self._credentials(repository).explain()


def _with_asked(scopes: tuple[str, ...], challenge: Challenge) -> tuple[str, ...]:
    """Our own scopes first (some servers read only the first), then what the registry asked for beyond them."""
    asked = challenge.parameters.get("scope", "").split()
    return tuple(dict.fromkeys((*scopes, *asked)))
