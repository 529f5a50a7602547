import pytest
from the_command import dockless, in_a_folder_of_its_own, start

from dockless.testing import Registry

__all__ = ["dockless", "in_a_folder_of_its_own", "start"]


@pytest.fixture
def registry():
    with Registry() as found:
        yield found


@pytest.fixture
def other():
    with Registry() as found:
        yield found
