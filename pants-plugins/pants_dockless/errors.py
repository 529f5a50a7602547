"""Errors and warnings of targets: one line that names the target and the field or option."""

import logging
import re
from typing import Optional

from pants.engine.addresses import Address
from pants.engine.console import Console
from pants.engine.target import Target

from dockless.errors import DocklessError, InvalidValueError, printable

# Errors of a layer spec begin with the name of its field, which is also that of the field of the target.
_BEGINS_WITH_FIELD = re.compile(r"`[a-z_]+`(?::| of | is | does )")


class TargetError(DocklessError):
    """An invalid target. The message begins with the address and the field.

    `field` is the alias of a field, an option such as `[dockless].platforms`, or None if the error concerns the target
    as a whole.
    """

    def __init__(
        self, address: Address, field: Optional[str], problem: str, *, cause: str = "", hint: str = ""
    ) -> None:
        if field:
            problem = f"{'option' if field.startswith('[') else 'field'} `{field}`: {problem}"
        elif _BEGINS_WITH_FIELD.match(problem):
            problem = f"field {problem}"
        super().__init__(f"{address}: {problem}", cause=cause, hint=hint)

    @classmethod
    def from_error(cls, address: Address, field: Optional[str], error: DocklessError) -> "TargetError":
        """Return `error` of the library as an error of a target. Without `field`, the field is that of `error`."""
        problem = error.problem
        if field is None and isinstance(error, InvalidValueError) and error.field:
            field = error.field
        for prefix in (f"invalid {field}: ", f"`{field}`: "):
            # The library names the field, too.
            if field and problem.startswith(prefix):
                problem = problem[len(prefix) :]
        return cls(address, field, problem, cause=error.cause, hint=error.hint)


def wrong_target_type(address: Address, field: str, target: Target, expected: str, hint: str) -> TargetError:
    """Return the error for a field that names a target of the wrong type."""
    return TargetError(
        address, field, f"the target {target.address} has the type `{target.alias}`, not `{expected}`", hint=hint
    )


def log_warning(logger: logging.Logger, warning: str) -> None:
    """Log `warning`, which may contain names of files, as one line that no terminal and no CI service acts on."""
    logger.warning(printable(warning, None))


def log_info(logger: logging.Logger, line: str) -> None:
    """Log `line` as information; see `log_warning`."""
    logger.info(printable(line, None))


def print_line(console: Console, line: str, *, to_stdout: bool = False) -> None:
    """Print `line`, which may contain text of a registry, as one line that no terminal and no CI service acts on."""
    (console.print_stdout if to_stdout else console.print_stderr)(printable(line, None))
