import pytest
from made_images import make_image


@pytest.fixture
def image():
    return make_image(b"one" * 500, b"two")
