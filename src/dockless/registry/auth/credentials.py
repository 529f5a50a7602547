"""Registry credentials, providers that renew them, and the result of a search for them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from dockless.errors import CredentialsError


class Credentials(NamedTuple):
    """A user and password, or an identity token that is exchanged for access tokens, or an access token.

    `source` names where they were found. Neither `str()` nor `repr()` contains a secret.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    source: str = "the credentials given by the caller"

    def checked(self) -> Credentials:
        """Return the credentials. Raises CredentialsError for values that HTTP cannot transmit.

        The password of `_json_key` is a service account's key file, of several lines (Artifact Registry, gcr.io).
        """
        for name in ("username", "password", "identity_token", "registry_token"):
            if not isinstance(getattr(self, name), str):
                # The value may be a secret.
                raise CredentialsError(f"the {name.replace('_', ' ')} of {self.source} is not a string")
            may_have_lines = name == "password" and self.username.startswith("_json_key")
            if any(c in getattr(self, name) for c in ("\0" if may_have_lines else "\r\n\0")):
                raise CredentialsError(
                    f"the {name.replace('_', ' ')} of {self.source} contains a line break or a NUL byte",
                    hint="store it again without one",
                )
        if any(c.isspace() or not c.isascii() for c in self.registry_token):
            raise CredentialsError(f"the registry token of {self.source} is not valid", hint="log in again")
        if ":" in self.username:
            raise CredentialsError(
                f"the user name of {self.source} contains a colon", hint="RFC 7617 does not allow a colon"
            )
        return self

    def __repr__(self) -> str:
        kind = "access token" if self.registry_token else "identity token" if self.identity_token else "password"
        return f"<Credentials: {kind} of {self.username or 'unnamed user'} from {self.source}>"

    def __str__(self) -> str:
        return repr(self)


class CredentialProvider(Protocol):
    """Provides credentials that expire, such as access tokens that are valid for an hour."""

    def credentials(self, *, renew: bool = False) -> Credentials:
        """Return the current credentials; with `renew`, new ones. Raises CredentialsError."""
        ...


class ResolvedCredentials(NamedTuple):
    """The credentials for a host, None for anonymous access, and each source that was searched with its result.

    A credential provider raises CredentialsError.
    """

    credentials: Credentials | None
    searched: tuple[str, ...]
    provider: CredentialProvider | None = None

    def current(self) -> Credentials | None:
        """Return the credentials that are valid now."""
        return self.provider.credentials().checked() if self.provider else self.credentials

    def renewed(self) -> Credentials | None:
        """Return new credentials after the registry rejected the current ones, if there may be any."""
        return self.provider.credentials(renew=True).checked() if self.provider else self.credentials

    def explain(self) -> str:
        """Return the result of the search in one line, for errors."""
        used = f"used {self.credentials.source}" if self.credentials else "no credentials were found"
        user = f" as user {self.credentials.username}" if self.credentials and self.credentials.username else ""
        return f"{used}{user}; looked in {', '.join(self.searched) or 'no source'}"
