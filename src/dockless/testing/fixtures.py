"""Pytest fixtures: put `pytest_plugins = ["dockless.testing.fixtures"]` into the topmost `conftest.py`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Callable

import pytest

from dockless.testing.registry import Registry


@pytest.fixture
def registry_factory() -> Iterator[Callable[..., Registry]]:
    """Return a function that starts a Registry with its arguments; all stop after the test."""
    with ExitStack() as registries:

        def start(*args: Any, **kwargs: Any) -> Registry:
            return registries.enter_context(Registry(*args, **kwargs))

        yield start


@pytest.fixture
def registry(registry_factory: Callable[..., Registry]) -> Registry:
    """Return a strict registry in memory, without users."""
    return registry_factory()
