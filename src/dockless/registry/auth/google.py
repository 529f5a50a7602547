"""Google's registries, by google-auth: Application Default Credentials, or a key for each project."""

from __future__ import annotations

import threading
from typing import Any

from dockless.errors import CredentialsError, printable
from dockless.registry.auth.credentials import Credentials

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# The user name that Artifact Registry and gcr.io take an OAuth access token under.
_USER = "oauth2accesstoken"
_DEFAULT = "Google's Application Default Credentials"


def is_google(host: str) -> bool:
    """Whole names and real sub-domains alone: a substring test would give `evilgcr.io` our token."""
    name = host[:-4] if host.endswith(":443") else host
    return name == "gcr.io" or name.endswith((".gcr.io", ".pkg.dev"))


class GoogleAccount:
    """Credentials of google-auth as an Account: an access token, fetched anew before it ends. Safe for threads."""

    def __init__(self, found: Any, source: str) -> None:
        self._found = found
        self._source = source
        self._lock = threading.Lock()

    @classmethod
    def of_key_file(cls, path: str) -> GoogleAccount:
        """The service account whose key is in the file. Raises CredentialsError."""
        try:
            from google.oauth2 import service_account
        except ImportError:
            raise CredentialsError(
                f"cannot use {path}", cause="google-auth is not installed", hint="install dockless[google]"
            ) from None
        make: Any = service_account.Credentials.from_service_account_file
        try:
            return cls(make(path, scopes=[_SCOPE]), f"the service account of {path}")
        except (OSError, ValueError) as error:
            cause = getattr(error, "strerror", "") or "it is no service account's key"
            raise CredentialsError(f"cannot use {path}", cause=cause, hint="name a key file of JSON") from None

    @classmethod
    def default(cls) -> GoogleAccount | None:
        """Whoever runs this, by Application Default Credentials; None where Google knows nobody.

        Raises ImportError where google-auth is absent.
        """
        import google.auth
        import google.auth.exceptions

        try:
            found: Any
            found, _ = google.auth.default(scopes=[_SCOPE])
        except google.auth.exceptions.DefaultCredentialsError:
            return None
        return cls(found, _DEFAULT)

    def credentials(self, *, renew: bool = False) -> Credentials:
        """See Account."""
        import google.auth.exceptions
        import google.auth.transport.requests

        with self._lock:
            try:
                if renew or not self._found.valid:
                    self._found.refresh(google.auth.transport.requests.Request())
            except google.auth.exceptions.GoogleAuthError as error:
                raise CredentialsError(
                    f"{self._source} gave no token",
                    cause=printable(str(error), 200),
                    hint="run `gcloud auth application-default login`",
                ) from None
            return Credentials(_USER, self._found.token, source=self._source)
