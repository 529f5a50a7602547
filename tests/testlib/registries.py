"""Registries of the library as fixtures, which a conftest imports from here."""

import pytest

from dockless.testing import Registry


@pytest.fixture
def registry():
    with Registry() as found:
        yield found


@pytest.fixture
def other():
    with Registry() as found:
        yield found
