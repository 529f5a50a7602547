import pytest
from pants_backend import Backend, make_backend


@pytest.fixture
def backend() -> Backend:
    return make_backend()
