import pytest
from credential_files import use_home
from made_images import make_image
from registries import other, registry
from web_server import web

__all__ = ["other", "registry", "web"]


@pytest.fixture(autouse=True)
def _no_credentials(tmp_path_factory, monkeypatch):
    """Only the credentials of the test are found."""
    use_home(monkeypatch, tmp_path_factory.mktemp("home"))


@pytest.fixture
def push():
    """`push(registry, repository, tag, image)` stores an image in a registry without a request."""

    def put(registry, repository, tag, image):
        for blob in (image.manifest.config, *image.manifest.layers):
            if blob.digest in image.blobs and not blob.urls:
                registry.put_blob(repository, image.blobs[blob.digest])
        registry.put_manifest(repository, image.manifest.raw, image.manifest.media_type, tag)

    return put


@pytest.fixture
def image():
    return make_image(b"one" * 500, b"two")
