"""Google's registries: Application Default Credentials or service account keys, through google-auth."""

from __future__ import annotations

import os
import threading
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from dockless._files import open_regular
from dockless.errors import CredentialsError, printable
from dockless.registry.auth.credentials import Credentials

if TYPE_CHECKING:
    from dockless.registry.http.session import HttpSession

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# The user name with which Artifact Registry and gcr.io accept an OAuth access token as the password.
_USER = "oauth2accesstoken"
_DEFAULT = "Google's Application Default Credentials"
# The metadata server of a machine at Google, which no proxy can reach.
_METADATA_HOSTS = ("metadata.google.internal", "169.254.169.254")


def is_google(host: str) -> bool:
    """Return whether a host is one of Google's registries, by whole labels: `evilgcr.io` gets no token."""
    name = host[:-4] if host.endswith(":443") else host
    return name == "gcr.io" or name.endswith((".gcr.io", ".pkg.dev"))


class GoogleCredentialProvider:
    """google-auth's credentials as a CredentialProvider: an access token, renewed before it expires. Thread-safe."""

    def __init__(self, credentials: Any, source: str, session: HttpSession | None = None) -> None:
        """`credentials` are google-auth's, `source` names them in errors.

        Tokens are requested through the proxies and with the CAs of `session`; None: those of the environment.
        """
        self._credentials = credentials
        self._source = source
        self._session = session
        self._lock = threading.Lock()

    @classmethod
    def from_key_file(cls, path: str) -> GoogleCredentialProvider:
        """Return the provider for the service account whose key is in the file. Raises CredentialsError."""
        _import_google_auth()
        from google.oauth2 import service_account

        load: Any = service_account.Credentials.from_service_account_file
        try:
            # google-auth would wait for the writer of a FIFO.
            open_regular(path).close()
            return cls(load(path, scopes=[_SCOPE]), f"the service account of {path}")
        except (OSError, ValueError) as error:
            cause = getattr(error, "strerror", "") or "the file is not the JSON key of a service account"
            hint = "give the path of a key file in JSON format"
            raise CredentialsError(f"cannot use {path}", cause=cause, hint=hint) from None

    @classmethod
    def default(cls, session: HttpSession | None = None) -> GoogleCredentialProvider | None:
        """Return the provider for Application Default Credentials, or None if there are none.

        Raises CredentialsError for credentials that exist and cannot be used.
        """
        google_auth = _import_google_auth()
        request = _new_request(session)
        _check_regular(os.environ.get("GOOGLE_APPLICATION_CREDENTIALS", ""))
        try:
            credentials, _ = google_auth.default(scopes=[_SCOPE], request=request)
        except google_auth.exceptions.DefaultCredentialsError:
            return None
        except google_auth.exceptions.GoogleAuthError as error:
            _fail(_DEFAULT, error)
        return cls(credentials, _DEFAULT, session)

    def credentials(self, *, renew: bool = False) -> Credentials:
        """Return the current access token as credentials. See CredentialProvider."""
        google_auth = _import_google_auth()
        with self._lock:
            try:
                if renew or not self._credentials.valid:
                    # A new session for each token, which lasts an hour: no idle connection stays open.
                    self._credentials.refresh(_new_request(self._session))
            except google_auth.exceptions.GoogleAuthError as error:
                _fail(self._source, error)
            return Credentials(_USER, self._credentials.token, source=self._source)


def _check_regular(path: str) -> None:
    """Raise CredentialsError for a path that google-auth would wait for. google-auth reports a missing file."""
    try:
        if os.path.exists(path):
            open_regular(path).close()
    except OSError as error:
        cause, hint = error.strerror or str(error), "give the path of a key file in JSON format"
        raise CredentialsError(f"cannot use GOOGLE_APPLICATION_CREDENTIALS {path}", cause=cause, hint=hint) from None


def _import_google_auth() -> Any:
    with warnings.catch_warnings():
        # google-auth warns that it will stop supporting CPython 3.9.
        warnings.simplefilter("ignore", FutureWarning)
        import google.auth
        import google.auth.exceptions
    return google.auth


def _new_request(session: HttpSession | None) -> Any:
    """Return google-auth's transport over one of our sessions."""
    from dockless.registry.clock import Clock
    from dockless.registry.http.session import HttpSession
    from dockless.registry.http.tls import Trust

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        from google.auth.transport.requests import Request

    if session is None:
        # None of the hosts is a registry: all certificates are verified.
        trust = Trust("registry.invalid", False, None, os.environ)
        session = HttpSession(jobs=1, trust=trust, clock=Clock(), environ=os.environ, addresses=None)
    direct = (*_METADATA_HOSTS, os.environ.get("GCE_METADATA_HOST", "").partition(":")[0])
    return Request(session.plain_session(direct=direct))


def _fail(source: str, error: BaseException) -> NoReturn:
    raise CredentialsError(
        f"{source} gave no token",
        cause=_connection_failure(error) or printable(str(error), 200),
        hint="run `gcloud auth application-default login`",
    ) from None


def _connection_failure(error: BaseException | None) -> str:
    """Return the cause if google-auth wrapped an error of requests, whose text may contain secrets; else nothing."""
    from dockless.registry.http.error_mapping import translate

    while error is not None:
        request = getattr(error, "request", None)
        if isinstance(error, OSError) and request is not None:
            translated = translate(error, request.method, request.url)
            return f"{translated.problem}: {translated.cause}"
        error = error.__cause__ or error.__context__
    return ""
