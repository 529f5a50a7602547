"""What proves to a registry who we are."""

from __future__ import annotations

from typing import NamedTuple

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
        """Raises CredentialsError for what no header can carry: CR, LF and NUL would begin another header."""
        for name in ("username", "password", "identity_token", "registry_token"):
            if any(c in getattr(self, name) for c in "\r\n\0"):
                raise CredentialsError(
                    f"the {name.replace('_', ' ')} of {self.source} holds a line break or a NUL byte",
                    hint="store it again without one",
                )
        if ":" in self.username:
            raise CredentialsError(f"the user name of {self.source} holds a colon", hint="RFC 7617 forbids it")
        return self

    def __repr__(self) -> str:
        kind = "access token" if self.registry_token else "identity token" if self.identity_token else "password"
        return f"<Credentials: {kind} of {self.username or 'nobody'} from {self.source}>"

    def __str__(self) -> str:
        return repr(self)


class Found(NamedTuple):
    """The credentials for a host, or None for anonymous, and each source that was asked with what it said."""

    credentials: Credentials | None
    tried: tuple[str, ...]

    def explain(self) -> str:
        """One line, for the error of a registry that refuses us."""
        used = f"used {self.credentials.source}" if self.credentials else "no credentials were found"
        who = f" as user {self.credentials.username}" if self.credentials and self.credentials.username else ""
        return f"{used}{who}; looked in {', '.join(self.tried) or 'nothing'}"
