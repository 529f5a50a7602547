import http.server
import threading

import pytest
from made_images import make_image

from dockless.testing import Registry


@pytest.fixture(autouse=True)
def _nobody(tmp_path_factory, monkeypatch):
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
    """Files on a web server: path -> bytes. What it was asked, with the headers, is in `requests`."""
    files, requests = {}, []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append((self.path, dict(self.headers)))
            data = files.get(self.path)
            if isinstance(data, str):
                self.send_response(302)
                self.send_header("Location", data)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    server.files, server.requests, server.url = files, requests, f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
