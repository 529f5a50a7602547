"""A registry with one image, on a loopback port, from which a container runtime pulls the layers that it lacks.

Implements the pull endpoints of the OCI distribution spec 1.1. The name of the repository is random, so that other
users of the machine cannot read the image.
"""

import secrets
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Optional

if TYPE_CHECKING:
    from dockless.blobs import BlobSource
    from dockless.oci.descriptor import Descriptor
    from dockless.oci.image_documents import ImageDocuments

_CHUNK = 1 << 20


class ImageServer:
    """Serves an image while the context is entered. `sent` has the layers that were requested."""

    def __init__(self, image: "ImageDocuments", source: "BlobSource") -> None:
        manifest = image.manifest
        self.repository = f"{secrets.token_hex(16)}/image"
        self.sent: set[Descriptor] = set()
        self.error = ""
        self._source = source
        self._layers = {layer.digest: layer for layer in manifest.layers}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        # The handler finds the image there.
        self._server.image = self  # type: ignore[attr-defined]
        self.reference = f"127.0.0.1:{self._server.server_port}/{self.repository}@{manifest.digest}"
        self._documents = {
            f"/v2/{self.repository}/manifests/{manifest.digest}": (manifest.media_type, manifest.raw),
            f"/v2/{self.repository}/blobs/{manifest.config.digest}": ("application/octet-stream", image.config_bytes),
        }

    def __enter__(self) -> "ImageServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: Optional[type], error: Optional[BaseException], traceback: Optional[TracebackType]
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def document(self, path: str) -> Optional[tuple[str, bytes]]:
        """Return the media type and the bytes of the manifest or the config at this path, or None."""
        return self._documents.get(path)

    def layer(self, path: str) -> "Optional[Descriptor]":
        """Return the layer at this path, or None."""
        prefix, _, digest = path.rpartition("/")
        return self._layers.get(digest) if prefix == f"/v2/{self.repository}/blobs" else None  # type: ignore[call-overload]

    def open(self, layer: "Descriptor") -> BinaryIO:
        """Open a layer. Raises DocklessError, whose text is then the `error`."""
        from dockless.errors import DocklessError

        try:
            file = self._source.open(layer)
        except DocklessError as error:
            self.error = str(error)
            raise
        self.sent.add(layer)
        return file


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def _respond(self) -> None:
        image: ImageServer = self.server.image  # type: ignore[attr-defined]
        layer = image.layer(self.path)
        if layer is not None:
            if self.command == "HEAD":
                self._head(200, "application/octet-stream", layer.size)
                return
            with image.open(layer) as file:
                self._head(200, "application/octet-stream", layer.size)
                shutil.copyfileobj(file, self.wfile, _CHUNK)
            return
        media_type, data = (
            ("application/json", b"{}") if self.path == "/v2/" else image.document(self.path) or ("", b"")
        )
        self._head(200 if media_type else 404, media_type or "text/plain", len(data))
        if self.command == "GET":
            self.wfile.write(data)

    def _head(self, status: int, media_type: str, size: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(size))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if status == 200 and ":" in self.path:
            self.send_header("Docker-Content-Digest", self.path.rpartition("/")[2])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def handle(self) -> None:
        """Serve a connection. The error of a blob is in `error` of the server; a runtime may close its connection."""
        from dockless.errors import DocklessError

        try:
            super().handle()
        except (DocklessError, OSError):
            self.close_connection = True
