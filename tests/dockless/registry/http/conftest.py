import pytest

from dockless.testing import make_certificate


@pytest.fixture
def certificate(tmp_path):
    """The path of a new certificate, whose key is in the same directory."""
    return str(make_certificate(tmp_path))
