"""Errors of targets: one line with the address and the field."""

from typing import Optional

from pants.engine.addresses import Address

from dockless.errors import DocklessError


class TargetError(DocklessError):
    """Something about a target is wrong. Says its address and, where there is one, the field."""

    def __init__(
        self, address: Address, field: Optional[str], problem: str, *, cause: str = "", hint: str = ""
    ) -> None:
        where = f"{address}: field `{field}`" if field else f"{address}"
        super().__init__(f"{where}: {problem}", cause=cause, hint=hint)

    @classmethod
    def of(cls, address: Address, field: Optional[str], error: DocklessError) -> "TargetError":
        """`error` of the library, said of a target's field."""
        return cls(address, field, error.problem, cause=error.cause, hint=error.hint)
