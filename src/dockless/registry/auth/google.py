"""Google's registries, by Application Default Credentials (the package google-auth)."""

from __future__ import annotations

import threading
from typing import Any

from dockless.errors import CredentialsError, printable
from dockless.registry.auth.credentials import Credentials

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# The user name that Artifact Registry and gcr.io take an OAuth access token under.
_USER = "oauth2accesstoken"
_lock = threading.Lock()


def is_google(host: str) -> bool:
    """Whole names and real sub-domains alone: a substring test would give `evilgcr.io` our token."""
    name = host[:-4] if host.endswith(":443") else host
    return name == "gcr.io" or name.endswith((".gcr.io", ".pkg.dev"))


def google_credentials(host: str) -> Credentials | None:
    """An access token of whoever runs this; None where google-auth is absent or knows nobody.

    Raises CredentialsError for credentials that are there and do not work.
    """
    if not is_google(host):
        return None
    try:
        import google.auth
        import google.auth.exceptions
        import google.auth.transport.requests
    except ImportError:
        return None
    with _lock:
        try:
            found: Any
            found, _ = google.auth.default(scopes=[_SCOPE])
        except google.auth.exceptions.DefaultCredentialsError:
            return None
        return access_token(found, "Google's Application Default Credentials")


def service_account(key_file: str) -> Credentials:
    """An access token of the service account whose key is in `key_file`, for one of several projects."""
    try:
        from google.oauth2 import service_account as accounts
    except ImportError:
        raise CredentialsError(
            f"cannot use {key_file}", cause="google-auth is not installed", hint="install dockless[google]"
        ) from None
    try:
        make: Any = accounts.Credentials.from_service_account_file
        found = make(key_file, scopes=[_SCOPE])
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else "it is no service account's key"
        raise CredentialsError(f"cannot use {key_file}", cause=cause) from None
    return access_token(found, f"the service account of {key_file}")


def access_token(found: Any, source: str) -> Credentials:
    """`found`, any credentials of google-auth, refreshed and made into what a registry takes."""
    import google.auth.exceptions
    import google.auth.transport.requests

    try:
        if not found.valid:
            found.refresh(google.auth.transport.requests.Request())
    except google.auth.exceptions.GoogleAuthError as error:
        raise CredentialsError(
            f"{source} gave no token",
            cause=printable(str(error), 200),
            hint="run `gcloud auth application-default login`",
        ) from None
    return Credentials(_USER, found.token, source=source)
