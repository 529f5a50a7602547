"""Entry point of the backend `pants_dockless.python`."""

from collections.abc import Iterable
from typing import Any

from pants_dockless.util_rules import python_layers


def rules() -> Iterable[Any]:
    """Return the rules of the backend."""
    return python_layers.rules()
