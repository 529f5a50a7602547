import pytest
from pants_backend import Backend, make_backend
from web_server import web

__all__ = ["backend", "web"]


@pytest.fixture(scope="session")
def shared_backend() -> Backend:
    return make_backend()


@pytest.fixture
def backend(shared_backend) -> Backend:
    """A Backend without files."""
    shared_backend.reset()
    return shared_backend
