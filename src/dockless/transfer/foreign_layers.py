"""Foreign layers, which a manifest says to get from elsewhere (layer.md, "Non-Distributable Layers")."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, Any, BinaryIO

from dockless.blobs import BlobSource
from dockless.errors import DocklessError, RegistryError
from dockless.oci.descriptor import Descriptor

if TYPE_CHECKING:
    from dockless.registry.http.response import HttpResponse
    from dockless.registry.http.session import HttpSession


class ForeignContent:
    """Layers that have urls from `source` if it has them, else from the first url that works; others from `source`.

    A BlobSource. No credential goes to a url: the manifest's author chose it, not we. What comes is verified by
    whoever stores it, as everything is.
    """

    def __init__(self, source: BlobSource, *, ca_file: str | None = None, local: bool = False) -> None:
        """`local`: urls inside this machine or network are allowed, because the image's registry is there too."""
        self._source = source
        self._ca_file = ca_file
        self._local = local
        self._session: HttpSession | None = None
        self._lock = threading.Lock()

    def open(self, descriptor: Descriptor) -> BinaryIO:
        if not descriptor.is_foreign:
            return self._source.open(descriptor)
        tried = []
        try:
            return self._source.open(descriptor)
        except DocklessError as error:
            tried.append(error.problem)
        for url in descriptor.urls:
            try:
                return self._get(url, descriptor)
            except RegistryError as error:
                tried.append(f"{error.problem}: {error.cause}" if error.cause else error.problem)
        raise RegistryError(
            f"the layer {descriptor.digest} is to be had nowhere",
            cause="; ".join(tried),
            hint="leave foreign layers where they are: `--keep-foreign-layers`, or `copy_foreign_layers=False`",
        )

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _opened_session(self) -> HttpSession:
        # Few images have such layers.
        from dockless.registry.clock import Clock
        from dockless.registry.http.session import HttpSession
        from dockless.registry.http.tls import Trust

        with self._lock:
            if self._session is None:
                # None of the hosts is a registry: all certificates are verified.
                trust = Trust("registry.invalid", False, self._ca_file, os.environ)
                self._session = HttpSession(jobs=4, trust=trust, clock=Clock(), environ=os.environ)
            return self._session

    def _get(self, url: str, descriptor: Descriptor) -> BinaryIO:
        from dockless.registry.http.redirects import send_following_redirects
        from dockless.registry.http.session import HttpRequest
        from dockless.registry.http.url_policy import redact

        self._check("", url)
        response, _ = send_following_redirects(self._opened_session(), HttpRequest("GET", url), self._check)
        if response.status != 200:
            response.close()
            raise RegistryError(f"{redact(response.url)} answered {response.status}")
        if response.length is not None and response.length != descriptor.size:
            length = response.length
            response.close()
            raise RegistryError(f"{redact(response.url)} has {length} bytes", cause=f"the layer has {descriptor.size}")
        return io.BufferedReader(_Body(response), 1 << 20)

    def _check(self, source: str, url: str) -> None:
        """Raise ProtocolError for an address of a private network, and for a redirect from HTTPS to HTTP."""
        from dockless.registry.http.url_policy import check_destination

        if self._local:
            check_destination(url, "http://localhost", "the layer's URL")
            return
        # A public host, which may speak HTTP as well: it may not refer to private addresses.
        check_destination(url, "http://registry.invalid", "the layer's URL")
        if source:
            check_destination(url, source, "the layer's URL")


class _Body(io.RawIOBase):
    def __init__(self, response: HttpResponse) -> None:
        self._response = response

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._response.read_some(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._response.close()
        super().close()
