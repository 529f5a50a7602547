"""The exceptions of Dockless. Each has a problem, a cause and a hint, and is one line as text."""

from __future__ import annotations

from typing import Any

from dockless._printable import printable as printable


class DocklessError(Exception):
    """Base of all errors that Dockless raises.

    `problem` says what failed and where, `cause` why, and `hint` what to do. `str()` is one line.
    """

    def __init__(self, problem: str, *, cause: str = "", hint: str = "") -> None:
        super().__init__(problem, cause, hint)
        self.problem = problem
        self.cause = cause
        self.hint = hint

    def __reduce__(self) -> Any:
        # Pickle calls an exception with its positional arguments; subclasses have keyword arguments.
        return _unpickle, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        # A path may have 4096 bytes; the cause after it must not be cut.
        line = ": ".join(part for part in (printable(self.problem, 1000), self.cause) if part)
        return printable(f"{line}; {self.hint}" if self.hint else line, limit=2000)


def _unpickle(error_type: type[DocklessError], args: tuple[str, ...], attributes: dict[str, Any]) -> DocklessError:
    error = error_type.__new__(error_type, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class InvalidValueError(DocklessError, ValueError):
    """A value of the user (digest, reference, platform, field) is invalid.

    `field` is the name of the parameter or field with the value, such as `env`; it is empty if the caller knows the
    parameter.
    """

    def __init__(self, problem: str, *, cause: str = "", hint: str = "", field: str = "") -> None:
        super().__init__(problem, cause=cause, hint=hint)
        self.field = field


class InvalidDocumentError(DocklessError, ValueError):
    """A JSON document (manifest, index, config, lockfile) is invalid."""


class LayerError(DocklessError):
    """A layer cannot be built."""


class LayoutError(DocklessError):
    """An image on disk (OCI layout or archive) cannot be read or written."""


class RegistryError(DocklessError):
    """A registry could not be reached, rejected a request, or sent an invalid response.

    `damaged_once` is true if a blob was corrupted for the first time. Reading it again from its start may succeed.
    """

    damaged_once = False


class CredentialsError(DocklessError):
    """Credentials are invalid or cannot be obtained."""
