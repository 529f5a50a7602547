import pytest
from made_images import make_image
from web_server import web_server

from dockless.testing import Registry


@pytest.fixture(autouse=True)
def _no_credentials(tmp_path_factory, monkeypatch):
    """No credentials but those of the test."""
    home = tmp_path_factory.mktemp("home")
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))


@pytest.fixture
def registry():
    with Registry() as found:
        yield found


@pytest.fixture
def other():
    with Registry() as found:
        yield found


@pytest.fixture
def push():
    """Puts a made image into a registry, with no request."""

    def put(registry, repository, tag, image):
        for blob in (image.manifest.config, *image.manifest.layers):
            if blob.digest in image.blobs and not blob.urls:
                registry.put_blob(repository, image.blobs[blob.digest])
        registry.put_manifest(repository, image.manifest.raw, image.manifest.media_type, tag)

    return put


@pytest.fixture
def image():
    return make_image(b"one" * 500, b"two")


@pytest.fixture
def web():
    with web_server() as server:
        yield server
