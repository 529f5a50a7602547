"""What proves to a registry who we are."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from dockless.errors import CredentialsError


class Credentials(NamedTuple):
    """One of: user and password, an identity token (traded for access tokens), an access token used as it is.

    `source` says where they were found; no secret is in `str()` or `repr()`.
    """

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    source: str = "given outright"

    def checked(self) -> Credentials:
        """Raises CredentialsError for what cannot be a secret: a line break or a NUL byte is a mistake.

        The password of `_json_key` is a service account's key file, which has lines (Artifact Registry, gcr.io).
        """
        for name in ("username", "password", "identity_token", "registry_token"):
            lines = name == "password" and self.username.startswith("_json_key")
            if any(c in getattr(self, name) for c in ("\0" if lines else "\r\n\0")):
                raise CredentialsError(
                    f"the {name.replace('_', ' ')} of {self.source} holds a line break or a NUL byte",
                    hint="store it again without one",
                )
        if any(c.isspace() or not c.isascii() for c in self.registry_token):
            raise CredentialsError(f"the registry token of {self.source} is none", hint="log in again")
        if ":" in self.username:
            raise CredentialsError(f"the user name of {self.source} holds a colon", hint="RFC 7617 forbids it")
        return self

    def __repr__(self) -> str:
        kind = "access token" if self.registry_token else "identity token" if self.identity_token else "password"
        return f"<Credentials: {kind} of {self.username or 'nobody'} from {self.source}>"

    def __str__(self) -> str:
        return repr(self)


class Account(Protocol):
    """Whoever has credentials that end: an access token of an hour."""

    def credentials(self, *, renew: bool = False) -> Credentials:
        """Those of now; with `renew`, others than before. Raises CredentialsError."""
        ...


class Found(NamedTuple):
    """The credentials for a host, or None for anonymous, and each source that was asked with what it said."""

    credentials: Credentials | None
    tried: tuple[str, ...]
    account: Account | None = None

    def current(self) -> Credentials | None:
        """The credentials of now."""
        return self.account.credentials().checked() if self.account else self.credentials

    def renewed(self) -> Credentials | None:
        """Other credentials, where the registry refused those of now and there may be better."""
        return self.account.credentials(renew=True).checked() if self.account else self.credentials

    def explain(self) -> str:
        """One line, for the error of a registry that refuses us."""
        used = f"used {self.credentials.source}" if self.credentials else "no credentials were found"
        who = f" as user {self.credentials.username}" if self.credentials and self.credentials.username else ""
        return f"{used}{who}; looked in {', '.join(self.tried) or 'nothing'}"
