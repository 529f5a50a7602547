"""Errors and warnings of targets: one line that names the target and the field or option."""

import logging
from typing import Optional

from pants.engine.addresses import Address
from pants.engine.target import Target

from dockless.errors import DocklessError, printable


class TargetError(DocklessError):
    """An invalid target. The message begins with the address and the field.

    `field` is the alias of a field, an option such as `[dockless].platforms`, or None if the error concerns the target
    as a whole.
    """

    def __init__(
        self, address: Address, field: Optional[str], problem: str, *, cause: str = "", hint: str = ""
    ) -> None:
        prefix = str(address)
        if field:
            prefix += f": {'option' if field.startswith('[') else 'field'} `{field}`"
        super().__init__(f"{prefix}: {problem}", cause=cause, hint=hint)

    @classmethod
    def from_error(cls, address: Address, field: Optional[str], error: DocklessError) -> "TargetError":
        """Return `error` of the library as an error of a target."""
        return cls(address, field, error.problem, cause=error.cause, hint=error.hint)


def wrong_target_type(address: Address, field: str, target: Target, expected: str, hint: str) -> TargetError:
    """Return the error for a field that names a target of the wrong type."""
    return TargetError(
        address, field, f"the target {target.address} has the type `{target.alias}`, not `{expected}`", hint=hint
    )


def log_warning(logger: logging.Logger, warning: str) -> None:
    """Log `warning`, which may contain names of files, as one line that no terminal and no CI service acts on."""
    logger.warning(printable(warning, None))
