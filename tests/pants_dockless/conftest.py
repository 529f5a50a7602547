import pytest
from pants_backend import Backend, make_backend
from web_server import web

__all__ = ["backend", "web"]


@pytest.fixture
def backend() -> Backend:
    return make_backend()
