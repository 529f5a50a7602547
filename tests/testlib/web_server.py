"""A web server that is not a registry, for URLs outside of registries."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def web_server() -> Iterator[http.server.ThreadingHTTPServer]:
    """Serves `files`: path -> bytes, or the URL of a redirect. `requests` are the received paths and headers."""
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
    server.files, server.requests, server.url = files, requests, f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def web():
    with web_server() as server:
        yield server
