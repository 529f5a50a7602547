"""The one exception hierarchy: every error says a problem, its cause and what to do, in one line."""

from __future__ import annotations

from typing import Any


def printable(text: str, limit: int = 400) -> str:
    """`text` on one line, control characters escaped, cut after `limit` characters.

    What a registry or a helper says ends on somebody's terminal: an escape sequence in it must not.
    """
    cut = text if len(text) <= limit else text[:limit] + "..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in cut)


class DocklessError(Exception):
    """Base of all errors that Dockless raises on purpose.

    `problem` says what failed and where, `cause` why, `hint` what to do. `str()` is one line of them.
    """

    def __init__(self, problem: str, *, cause: str = "", hint: str = "") -> None:
        super().__init__(problem, cause, hint)
        self.problem = problem
        self.cause = cause
        self.hint = hint

    def __reduce__(self) -> Any:
        # An exception is made anew from its arguments alone, which does not do for those that have names.
        return _restored, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        # A path may have 4096 bytes: what comes after it must not be cut off.
        line = ": ".join(part for part in (printable(self.problem, 1000), self.cause) if part)
        return printable(f"{line}; {self.hint}" if self.hint else line, limit=2000)


def _restored(kind: type[DocklessError], args: tuple[str, ...], attributes: dict[str, Any]) -> DocklessError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class InvalidValueError(DocklessError, ValueError):
    """A value that a user wrote (digest, reference, platform, field) breaks its rule."""


class InvalidDocumentError(DocklessError, ValueError):
    """A JSON document (manifest, index, config, lockfile) is not what it must be."""


class LayerError(DocklessError):
    """A layer cannot be made from its sources."""


class LayoutError(DocklessError):
    """An image on disk (OCI layout or archive) cannot be read or written."""


class RegistryError(DocklessError):
    """A registry could not be reached, refused a request, or answered wrongly.

    `damaged_once`: a blob came damaged, for the first time; read from its start once more it may be right.
    """

    damaged_once = False


class CredentialsError(DocklessError):
    """Credentials were asked for and could not be had."""
