import pytest
from the_command import dockless, isolated_directory, start

from dockless.testing import Registry

__all__ = ["dockless", "isolated_directory", "start"]


@pytest.fixture
def registry():
    with Registry() as found:
        yield found


@pytest.fixture
def other():
    with Registry() as found:
        yield found
