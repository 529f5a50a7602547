"""Requests to one registry: scheme, credentials, redirects and error statuses, below the operations of the spec."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Mapping
from typing import Any

from dockless.oci.reference import DOCKER_HUB
from dockless.registry.auth.bearer import TokenSource, basic
from dockless.registry.auth.challenge import Challenge, choose_challenge, parse_challenges
from dockless.registry.auth.credentials import Account, Credentials, Found
from dockless.registry.auth.keychain import Given, find_credentials
from dockless.registry.auth.scopes import merge, repository_of
from dockless.registry.clock import Clock
from dockless.registry.errors import ConnectionFailed, RegistryError, ResponseError, Unauthorized, Unexpected
from dockless.registry.http.response import HttpResponse
from dockless.registry.http.session import HttpRequest, HttpSession
from dockless.registry.http.tls import Trust
from dockless.registry.http.url_policy import check_destination, follow, is_loopback, origin_of, redact, split_host

_MAX_REDIRECTS = 10
_MAX_ERROR_BODY = 64 * 1024
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_DOCKER_HUB_HOST = "registry-1.docker.io"


class RegistrySession:
    """A registry as one who speaks HTTP to it. Safe for threads."""

    def __init__(
        self,
        registry: str,
        *,
        credentials: Given,
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
        self._http = HttpSession(jobs=jobs, trust=Trust(self._host, insecure, ca_file, env), clock=clock, environ=env)
        # A registry on loopback mostly speaks http, another that we are told to trust mostly https.
        local = is_loopback(split_host(registry))
        self._schemes = ("http", "https") if local else ("https", "http") if insecure else ("https",)
        self._insecure = insecure
        self._scheme = ""
        self._not_greeted: tuple[float, RegistryError] | None = None
        self._lock = threading.RLock()
        self._challenge: Challenge | None = None
        self._found: dict[str, Found] = {}
        self._tokens: dict[Account | Credentials | None, TokenSource] = {}

    @property
    def base_url(self) -> str:
        return f"{self._scheme or self._schemes[0]}://{self._host}"

    def close(self) -> None:
        self._http.close()

    def greet(self) -> None:
        """Asks once whether there is a registry, by http or https, and how it wants to be asked; without credentials.

        gcr.io names its challenge here and not always later. Raises RegistryError.
        """
        asked = self.clock.monotonic()
        with self._lock:
            if self._scheme:
                return
            if self._not_greeted is not None and self._not_greeted[0] > asked:
                # Another thread tried while this one waited for its turn: each more would wait as long again.
                raise self._not_greeted[1]
            try:
                self._greet_once()
            except RegistryError as error:
                self._not_greeted = self.clock.monotonic(), error
                raise

    def _greet_once(self) -> None:
        failed: ConnectionFailed | None = None
        for scheme in self._schemes:
            try:
                if self._greeted(scheme):
                    return
            except ConnectionFailed as error:
                # Whoever shows a certificate speaks https: what http came to says nothing then.
                failed = error if failed is None or error.reason == "certificate" else failed
                # Port 443 may be closed where port 80 is not: with no port in the name they are two places.
                if error.reason == "refused" and self._insecure:
                    continue
                if error.reason in ("unreachable", "refused", "certificate"):
                    break
                # Whoever breaks a TLS handshake must not get us to speak plain http.
                if scheme == "https" and error.reason != "plain http":
                    break
        if failed is not None:
            raise failed
        raise Unexpected(
            f"{self.registry} does not speak the registry API",
            cause="it refuses http, and https",
            hint="check the name and the port",
        )

    def request(
        self,
        method: str,
        path: str,
        scopes: tuple[str, ...],
        *,
        expect: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        read_timeout: float | None = None,
    ) -> HttpResponse:
        """One request with credentials, redirects followed, whose status is in `expect`.

        `path` is one of the registry or a whole URL that it gave. `body` is bytes or a function that opens it anew.
        Raises RegistryError; what to try again is for the caller.
        """
        self.greet()
        if "://" in path:
            check_destination(path, self.base_url, "the place")
        url = path if "://" in path else self.base_url + path
        try:
            answer = self._authorised(method, url, scopes, headers or {}, body, read_timeout)
        except ConnectionFailed as error:
            if error.reason == "refused":
                # It was there a moment ago: it is being restarted, not misnamed.
                error.attempts = 0
            raise
        if answer.status in expect:
            return answer
        raise self._refusal(answer, scopes)

    def explain_auth(self, repository: str = "") -> str:
        """Which sources of credentials were asked for this registry, and which is used; never a secret."""
        return self._credentials(repository).explain()

    def _greeted(self, scheme: str) -> bool:
        """Whether the registry speaks `scheme`; settles it then."""
        base = f"{scheme}://{self._host}"
        answer = self._follow("GET", f"{base}/v2/", {}, None, None, base, 30.0)
        # Go and nginx answer http on their https port with 400.
        if answer.status == 400 and scheme == "http":
            answer.close()
            return False
        challenges = answer.headers("WWW-Authenticate")
        if answer.status == 200:
            page = answer.header("Content-Type").startswith("text/html") or answer.read_start(16).lstrip()[:1] == b"<"
            answer.close()
            if page:
                raise self._no_registry("it answers with a web page")
        elif answer.status != 401:
            body = answer.read_start(_MAX_ERROR_BODY)
            error = ResponseError(
                "GET", redact(answer.url), answer.status, body, retry_after=answer.retry_after, secrets=answer.secrets()
            )
            # Whoever says it in the registry's own form is one.
            known = error.transient or error.codes
            raise error if known else self._no_registry(f"{error.problem}: {error.cause}")
        else:
            answer.read_start(_MAX_ERROR_BODY)
        if scheme == "http" and origin_of(answer.url) == ("https", *origin_of(f"https://{self._host}")[1:]):
            # Port 80 sent us to 443: credentials go there alone.
            scheme, base = "https", f"https://{self._host}"
        if answer.status == 401 and origin_of(answer.url) == origin_of(base):
            self._challenge = choose_challenge(parse_challenges(challenges))
        self._scheme = scheme
        return True

    def _no_registry(self, cause: str) -> Unexpected:
        return Unexpected(
            f"{self.registry} does not speak the registry API", cause=cause, hint="check the name and the port"
        )

    def _authorised(
        self,
        method: str,
        url: str,
        scopes: tuple[str, ...],
        headers: Mapping[str, str],
        body: Any,
        read_timeout: float | None,
    ) -> HttpResponse:
        """Sends with the credentials we know to be wanted; on 401, once more with fresh ones."""
        authorization = self._authorization(scopes, refused=None) if self._is_mine(url) else None
        answer = self._follow(method, url, headers, body, authorization, self.base_url, read_timeout)
        # What another host asks for, to which the registry led, is none of our credentials' business.
        if answer.status != 401 or not self._is_mine(answer.url):
            return answer
        challenge = choose_challenge(parse_challenges(answer.headers("WWW-Authenticate")))
        if challenge is not None:
            scopes = (*scopes, *challenge.parameters.get("scope", "").split())
            self._challenge = challenge
        try:
            fresh = self._authorization(scopes, refused=authorization or "")
        except BaseException:
            answer.close()
            raise
        if fresh is None or fresh == authorization:
            return answer
        answer.read_start(_MAX_ERROR_BODY)
        return self._follow(method, url, headers, body, fresh, self.base_url, read_timeout)

    def _authorization(self, scopes: tuple[str, ...], refused: str | None) -> str | None:
        """The Authorization header that the last challenge asks for; None while none was seen, or for nobody.

        `refused` is the header that just brought a 401 (empty: none was sent); then it is another if there is any.
        """
        challenge = self._challenge
        if challenge is None:
            return None
        found = self._credentials(repository_of(scopes))
        credentials = found.current()
        if credentials and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        if challenge.scheme == "basic":
            if credentials is None or not credentials.username:
                return None
            fresh = found.renewed() if basic(credentials) == refused else credentials
            return basic(fresh or credentials)
        tokens = self._tokens_of(found)
        try:
            return "Bearer " + tokens.get(challenge, merge(scopes), credentials, refused)
        except Unauthorized as error:
            fresh = found.renewed()
            if fresh is None or fresh == credentials:
                error.hint = f"{found.explain()}; log in to {self.registry}"
                raise
            return "Bearer " + tokens.get(challenge, merge(scopes), fresh, refused)

    def _tokens_of(self, found: Found) -> TokenSource:
        """Tokens are of one account: two of the same name, or without one, have nothing in common."""
        who = found.account or found.credentials
        with self._lock:
            if who not in self._tokens:
                self._tokens[who] = TokenSource(self.base_url, self._http, self.clock)
            return self._tokens[who]

    def _credentials(self, repository: str) -> Found:
        with self._lock:
            if repository not in self._found:
                self._found[repository] = find_credentials(
                    self.registry,
                    repository,
                    given=self._given,
                    auth_file=self._auth_file,
                    environ=self._environ,
                    session=self._http,
                )
            return self._found[repository]

    def _follow(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Any,
        authorization: str | None,
        base: str,
        read_timeout: float | None,
    ) -> HttpResponse:
        """One request and the redirects that it meets, as a registry at `base` may send us."""
        for _ in range(_MAX_REDIRECTS + 1):
            sent = dict(headers)
            # To the registry's own origin alone: a signed URL elsewhere must not get it (and S3 refuses one that does).
            if authorization is not None and origin_of(url) == origin_of(base):
                sent["Authorization"] = authorization
            with contextlib.ExitStack() as stack:
                content = stack.enter_context(body()) if callable(body) else body
                answer = self._http.send(HttpRequest(method, url, sent, content, read_timeout))
            location = answer.header("Location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            if method not in ("GET", "HEAD") and answer.status not in (307, 308):
                return answer
            answer.close()
            url = follow(answer.url, location, "the redirect")
            check_destination(url, base, "the redirect")
        raise Unexpected(
            f"{method} {redact(url)} redirects more than {_MAX_REDIRECTS} times",
            hint="the registry leads in a circle: its address or its storage's redirects are set up wrongly",
        )

    def _is_mine(self, url: str) -> bool:
        return origin_of(url) == origin_of(self.base_url)

    def _refusal(self, answer: HttpResponse, scopes: tuple[str, ...]) -> ResponseError:
        # To a range that it does not have docker-registry 2.8 announces the whole blob, and sends nothing: no waiting.
        silent = answer.status == 416 and answer.method == "GET"
        mine = self._is_mine(answer.url)
        body = answer.read_start(0 if silent else _MAX_ERROR_BODY)
        shown = redact(answer.url)
        if not mine:
            hint = f"{self.registry} led there; no credentials were sent" if answer.status in (401, 403) else ""
            kind = ResponseError
        elif answer.status in (401, 403):
            explained = self._credentials(repository_of(scopes)).explain()
            hint = f"{explained}; log in to {self.registry} with the right to do this"
            kind = Unauthorized
        else:
            hint, kind = "", ResponseError
        return kind(
            answer.method,
            shown,
            answer.status,
            body,
            hint=hint,
            retry_after=answer.retry_after,
            # Most refusals say nothing: 404 to a HEAD.
            secrets=answer.secrets(signed=not mine) if body else (),
        )
