"""Authorized requests to one registry: scheme, credentials, redirects and error statuses. Nothing is repeated here."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from typing import Any

from dockless.oci.reference import DOCKER_HUB
from dockless.registry.auth.bearer import DENIAL_LIFETIME, TokenSource, basic
from dockless.registry.auth.challenge import Challenge, choose_challenge, parse_challenges
from dockless.registry.auth.credentials import Credentials, ResolvedCredentials
from dockless.registry.auth.keychain import GivenCredentials, find_credentials_with
from dockless.registry.auth.scopes import merge, of_same_resources, repository_of
from dockless.registry.clock import Clock
from dockless.registry.errors import (
    ProtocolError,
    RegistryConnectionError,
    RegistryError,
    RegistryRequestError,
    ResponseError,
    UnauthorizedError,
)
from dockless.registry.http.addresses import AddressPolicy, is_loopback
from dockless.registry.http.redirects import Followed, resolve_reference, send_following_redirects
from dockless.registry.http.response import HttpResponse, response_error, without_secrets
from dockless.registry.http.session import HttpRequest, HttpSession
from dockless.registry.http.tls import Trust
from dockless.registry.http.url_policy import check_destination, origin_of, split_host, split_registry
from dockless.registry.http.warning_headers import WarningLog
from dockless.registry.retry import RETRYABLE_STATUS

logger = logging.getLogger("dockless.registry")

_MAX_ERROR_BODY = 64 * 1024
_PING_TIMEOUT = 30.0
_DOCKER_HUB_HOST = "registry-1.docker.io"
_SAFE_METHODS = ("GET", "HEAD")


class RegistrySession:
    """Sends requests to one registry, with its credentials. Thread-safe. See RegistryClient for the arguments."""

    def __init__(
        self,
        registry: str,
        *,
        credentials: GivenCredentials,
        auth_file: str | None,
        insecure: bool,
        insecure_hosts: Collection[str],
        ca_file: str | None,
        jobs: int,
        clock: Clock,
        environ: Mapping[str, str],
    ) -> None:
        self.registry = registry
        self.clock = clock
        self._given_credentials = credentials
        self._auth_file = auth_file
        self._environ = environ
        self._host = _DOCKER_HUB_HOST if registry == DOCKER_HUB else registry
        self._addresses = AddressPolicy(split_registry(self._host))
        trust = Trust(self._host, insecure, ca_file, environ, insecure_hosts=insecure_hosts)
        self._http = HttpSession(jobs=jobs, trust=trust, clock=clock, environ=environ, addresses=self._addresses)
        # Registries on loopback mostly speak HTTP; others that may be insecure mostly speak HTTPS.
        is_local = is_loopback(split_host(registry))
        self._schemes = ("http", "https") if is_local else ("https", "http") if insecure else ("https",)
        self._insecure = insecure
        self._scheme = ""
        # The time and the error of the last failed ping.
        self._ping_failure: tuple[float, RegistryError] | None = None
        self._challenge: Challenge | None = None
        self._credentials: dict[str, ResolvedCredentials] = {}
        self._token_sources: dict[int | Credentials | None, TokenSource] = {}
        # Repositories, and whether the request would change something, of requests that were accepted.
        self._accepted: set[tuple[str, bool]] = set()
        self._lock = threading.RLock()
        self._warnings = WarningLog()
        # Passwords by repository: whether each was accepted, or when and how it was rejected.
        self._passwords: dict[tuple[str, Credentials], tuple[float, RegistryRequestError] | None] = {}
        self._password_lock = threading.RLock()

    @property
    def base_url(self) -> str:
        """Scheme and host of the registry."""
        return f"{self._scheme or self._schemes[0]}://{self._host}"

    @property
    def connection_failure(self) -> RegistryConnectionError | None:
        """The last error of connecting to the registry, if no connection ever succeeded."""
        failure = self._ping_failure[1] if self._ping_failure and not self._scheme else None
        return failure if isinstance(failure, RegistryConnectionError) else None

    def close(self) -> None:
        """Close all idle connections."""
        self._http.close()

    def ping(self) -> None:
        """Determine, once and without credentials, the registry's scheme and how it authenticates.

        (gcr.io sends its challenge here, and not always later.) Raises RegistryError.
        """
        begin = self.clock.monotonic()
        with self._lock:
            if self._scheme:
                return
            if self._ping_failure is not None and self._ping_failure[0] > begin:
                # Another thread tried while this one waited for the lock: each further try would take as long.
                raise self._ping_failure[1]
            try:
                self._ping_schemes()
            except RegistryError as error:
                self._ping_failure = self.clock.monotonic(), error
                raise

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
        """Send one request with credentials, follow redirects, and return the response, whose status is in `expect`.

        `path` is a path of the registry, or a whole URL that the registry named. `body` is bytes, or a function that
        opens a reader with a length. Raises RegistryError.
        """
        self.ping()
        if "://" in path:
            self._check(path, self.base_url, "the URL")
        url = path if "://" in path else self.base_url + path
        request = HttpRequest(method, url, headers or {}, body, read_timeout)
        try:
            response = self._send_with_password(request, scopes)
        except RegistryConnectionError as error:
            if error.reason != "refused":
                raise
            # The registry was reachable a moment ago: its name is right, and it is being restarted.
            raise error.replace(reason="restarting") from error.__cause__
        for warning in self._warnings.new(response.headers("Warning")):
            logger.warning("%s: %s", self.registry, without_secrets(response, warning))
        if response.status in expect:
            return response
        raise self._error(response, scopes).replace(is_redirected=response.url != url)

    def referenced_url(self, response: HttpResponse, reference: str, label: str, *, within: str) -> str:
        """Return the URL that a Location or Link header refers to. See `resolve_reference`."""
        base = self.base_url
        return resolve_reference(
            response, reference, label, base, lambda url: self._check(url, base, label), within=within
        )

    def explain_auth(self, repository: str = "") -> str:
        """Return which sources of credentials were searched and which is used, in one line without secrets."""
        return self._resolve_credentials(repository).explain()

    def _ping_schemes(self) -> None:
        failure: RegistryConnectionError | None = None
        for scheme in self._schemes:
            try:
                if self._ping_scheme(scheme):
                    return
            except RegistryConnectionError as error:
                # A server that presents a certificate speaks HTTPS; how HTTP failed does not matter then.
                failure = error if failure is None or error.reason == "certificate" else failure
                # Without a port in its name, port 443 may be closed and port 80 open.
                if error.reason == "refused" and self._insecure:
                    continue
                if error.reason in ("unreachable", "refused", "certificate"):
                    break
                # An attacker who interrupts TLS handshakes must not cause a downgrade to HTTP.
                if scheme == "https" and error.reason != "plain http":
                    break
        raise failure or self._not_a_registry("it rejects both HTTP and HTTPS")

    def _ping_scheme(self, scheme: str) -> bool:
        """Return whether the registry speaks `scheme`. If so, store the scheme and the challenge."""
        base = f"{scheme}://{self._host}"
        request = HttpRequest("GET", f"{base}/v2/", read_timeout=_PING_TIMEOUT)
        response, left = self._follow(request, None, base, "")
        # Go and nginx answer HTTP on their HTTPS port with 400.
        if response.status == 400 and scheme == "http":
            response.close()
            return False
        challenges = response.headers("WWW-Authenticate")
        if 200 <= response.status < 300:
            begin = response.read_start(16).lstrip()[:1]
            is_page = begin == b"<" or (begin != b"{" and response.header("Content-Type").startswith("text/html"))
            response.close()
            if is_page:
                raise self._not_a_registry("the response is a web page")
        elif response.status != 401:
            error = response_error(response, ResponseError)
            # An error in the form of the specification is that of a registry.
            is_registry = bool(error.codes) or error.status in RETRYABLE_STATUS
            raise error if is_registry else self._not_a_registry(f"{error.problem}: {error.cause}")
        else:
            response.read_start(_MAX_ERROR_BODY)
        is_upgrade = scheme == "http" and origin_of(response.url) == origin_of(f"https://{self._host}")
        if is_upgrade:
            # Port 80 redirected to port 443: credentials are sent there only.
            scheme = "https"
        if response.status == 401 and (is_upgrade or not left):
            self._challenge = choose_challenge(parse_challenges(challenges))
        self._scheme = scheme
        return True

    def _not_a_registry(self, cause: str) -> ProtocolError:
        problem = f"{self.registry} does not speak the registry API"
        return ProtocolError(problem, cause=cause, hint="check the name and the port", reason="not a registry")

    def _send_with_password(self, request: HttpRequest, scopes: tuple[str, ...]) -> HttpResponse:
        """Send a request. Until a password is known to be right, one request at a time sends it.

        If each thread sent a wrong password, the user's account might be locked.
        """
        repository = repository_of(scopes)
        credentials = self._resolve_credentials(repository).credentials if self._is_basic else None
        if credentials is None or self._is_password_accepted(repository):
            return self._send_authorized(request, scopes)
        key = repository, credentials
        with self._password_lock:
            denial = self._passwords.get(key)
            if denial is not None and self.clock.monotonic() - denial[0] < DENIAL_LIFETIME:
                raise denial[1].replace()
            response = self._send_authorized(request, scopes)
            if origin_of(response.url) != origin_of(self.base_url) or response.status >= 500:
                # Another host, which gets no password, or an overloaded registry says nothing about the password.
                return response
            if response.status == 401:
                error = self._error(response, scopes)
                self._passwords[key] = self.clock.monotonic(), error.replace()
                raise error
            self._passwords[key] = None
            return response

    @property
    def _is_basic(self) -> bool:
        return self._challenge is not None and self._challenge.scheme == "basic"

    def _send_authorized(self, request: HttpRequest, scopes: tuple[str, ...]) -> HttpResponse:
        """Send with the credentials that the last challenge asked for, and after a 401 with new ones.

        A token may end at any time, some after a few requests. The token that replaces a rejected one may be used up by
        other threads before this one sends it; a third token is for this request alone.
        """
        repository = repository_of(scopes)
        is_own = origin_of(request.url) == origin_of(self.base_url)
        authorization = self._authorization(scopes, rejected=None) if is_own else None
        response, left = self._follow(request, authorization, self.base_url, repository)
        for is_second in (False, True):
            # Other hosts, and the hosts that they redirect to, get no credentials.
            if response.status != 401 or left:
                break
            challenge = _challenge_of(response)
            if is_second and (_is_forbidden(challenge) or not self._is_shared(authorization, repository)):
                break
            if challenge is not None:
                # Only scopes of the repositories in this request: the server must not choose others.
                scopes = (*scopes, *of_same_resources(challenge.parameters.get("scope", "").split(), scopes))
                self._challenge = challenge
            try:
                renewed = self._authorization(scopes, rejected=authorization or "", unshared=is_second)
            except BaseException:
                response.close()
                raise
            if renewed is None or renewed == authorization:
                break
            response.read_start(_MAX_ERROR_BODY)
            authorization = renewed
            response, left = self._follow(request, authorization, self.base_url, repository)
        if response.status not in (401, 403) and not left:
            self._accepted.add((repository, request.method not in _SAFE_METHODS))
        return response

    def _follow(self, request: HttpRequest, authorization: str | None, base: str, repository: str) -> Followed:
        return send_following_redirects(
            self._http,
            request,
            lambda url, target: self._check(target, base, "the redirect"),
            origin=origin_of(base),
            repository=repository,
            authorization=authorization,
        )

    def _check(self, url: str, base: str, label: str) -> None:
        check_destination(url, base, label, registry_addresses=self._addresses.registry_addresses)

    def _authorization(self, scopes: tuple[str, ...], rejected: str | None, *, unshared: bool = False) -> str | None:
        """Return the Authorization header that the last challenge asks for; None without challenge or credentials.

        `rejected` is the header that a 401 answered, empty if there was none: another one is returned if there is any.
        With `unshared`, a token is new, and used for one request only.
        """
        challenge = self._challenge
        if challenge is None:
            return None
        resolved = self._resolve_credentials(repository_of(scopes))
        credentials = resolved.current()
        if credentials and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        if challenge.scheme == "basic":
            if credentials is None or not credentials.username:
                return None
            renewed = resolved.renewed() if basic(credentials) == rejected else credentials
            return basic(renewed or credentials)
        tokens = self._token_source(resolved)
        try:
            return "Bearer " + tokens.get(challenge, merge(scopes), credentials, rejected, unshared=unshared)
        except UnauthorizedError as error:
            renewed = resolved.renewed()
            if renewed is None or renewed == credentials:
                raise error.replace(hint=f"{resolved.explain()}; log in to {self.registry}") from None
            return "Bearer " + tokens.get(challenge, merge(scopes), renewed, rejected, unshared=unshared)

    def _is_shared(self, authorization: str | None, repository: str) -> bool:
        return self._token_source(self._resolve_credentials(repository)).is_shared(authorization or "")

    def _token_source(self, resolved: ResolvedCredentials) -> TokenSource:
        """Return the source of tokens for the credentials. Different credentials never share tokens."""
        # By identity: a provider need not be hashable, and equal providers may belong to different users.
        owner = id(resolved.provider) if resolved.provider else resolved.credentials
        with self._lock:
            if owner not in self._token_sources:
                self._token_sources[owner] = TokenSource(self.base_url, self._http, self.clock)
            return self._token_sources[owner]

    def _resolve_credentials(self, repository: str) -> ResolvedCredentials:
        with self._lock:
            if repository not in self._credentials:
                self._credentials[repository] = find_credentials_with(
                    self._http, self.registry, repository, self._given_credentials, self._auth_file, self._environ
                )
            return self._credentials[repository]

    def _error(self, response: HttpResponse, scopes: tuple[str, ...]) -> ResponseError:
        # docker-registry 2.8 answers a range that it does not have with the blob's length, and sends no body.
        limit = 0 if response.status == 416 and response.method == "GET" else _MAX_ERROR_BODY
        if origin_of(response.url) != origin_of(self.base_url):
            is_refusal = response.status in (401, 403)
            hint = f"{self.registry} redirected there; no credentials were sent" if is_refusal else ""
            return response_error(response, ResponseError, hint=hint, signed=True, limit=limit)
        if response.status not in (401, 403):
            return response_error(response, ResponseError, limit=limit)
        repository = repository_of(scopes)
        is_accepted = (repository, response.method not in _SAFE_METHODS) in self._accepted
        is_ended = response.status == 401 and is_accepted and not _is_forbidden(_challenge_of(response))
        if is_ended and self._challenge is not None and not self._is_basic:
            # For example a replica whose clock is late, or a token that was revoked while a blob was sent.
            hint = "the registry rejects the tokens of its token server; compare their clocks, or try again later"
            return response_error(response, UnauthorizedError, hint=hint, limit=limit).replace(reason="token ended")
        explanation = self._resolve_credentials(repository).explain()
        hint = f"{explanation}; log in to {self.registry} as a user who is allowed to do this"
        error = response_error(response, UnauthorizedError, hint=hint, limit=limit)
        if response.status == 403:
            is_ended = is_accepted and not error.codes
        else:
            # A refusal of the registry itself would have a challenge (RFC 9110, section 15.5.2).
            is_foreign = self._challenge is None and (repository, False) in self._accepted
            is_ended = is_ended or is_foreign or self._is_password_accepted(repository)
        return error.replace(reason="access ended") if is_ended else error

    def _is_password_accepted(self, repository: str) -> bool:
        credentials = self._resolve_credentials(repository).credentials if self._is_basic else None
        return credentials is not None and self._passwords.get((repository, credentials), ()) is None


def _challenge_of(response: HttpResponse) -> Challenge | None:
    return choose_challenge(parse_challenges(response.headers("WWW-Authenticate")))


def _is_forbidden(challenge: Challenge | None) -> bool:
    """Return whether a challenge says that the token is valid, but not for this request (RFC 6750, section 3.1)."""
    return challenge is not None and challenge.parameters.get("error") == "insufficient_scope"
