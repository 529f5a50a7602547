"""Foreign layers, which a manifest says to get from elsewhere (layer.md, "Non-Distributable Layers")."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin

from dockless.blobs import BlobSource
from dockless.errors import DocklessError, RegistryError
from dockless.oci.descriptor import Descriptor
from dockless.registry.http.url_policy import check_destination

if TYPE_CHECKING:
    from dockless.registry.http.response import HttpResponse
    from dockless.registry.http.session import HttpSession

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


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
        self._transport: HttpSession | None = None
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
        if self._transport is not None:
            self._transport.close()

    def _opened(self) -> HttpSession:
        # Nearly no image has such layers.
        from dockless.registry.clock import Clock
        from dockless.registry.http.session import HttpSession
        from dockless.registry.http.tls import Trust

        with self._lock:
            if self._transport is None:
                # No host is a registry here: certificates are checked of all.
                trust = Trust("registry.invalid", False, self._ca_file, os.environ)
                self._transport = HttpSession(jobs=4, trust=trust, clock=Clock(), environ=os.environ)
            return self._transport

    def _get(self, url: str, descriptor: Descriptor) -> BinaryIO:
        from dockless.registry.http.session import HttpRequest

        transport = self._opened()
        for _ in range(_MAX_REDIRECTS + 1):
            # Neither this machine's own addresses nor, from https, plain http.
            check_destination(url, "http://localhost" if self._local else "http://registry.invalid", "the layer's url")
            answer = transport.send(HttpRequest("GET", url))
            if answer.status in _REDIRECTS:
                answer.close()
                target = urljoin(url, answer.header("Location"))
                check_destination(target, url if not self._local else "http://localhost", "the layer's url")
                url = target
                continue
            if answer.status != 200:
                answer.close()
                raise RegistryError(f"{url} answered {answer.status}")
            if answer.length is not None and answer.length != descriptor.size:
                answer.close()
                raise RegistryError(f"{url} has {answer.length} bytes", cause=f"the layer has {descriptor.size}")
            return io.BufferedReader(_Body(answer), 1 << 20)
        raise RegistryError(f"{url} redirects without end")


class _Body(io.RawIOBase):
    def __init__(self, answer: HttpResponse) -> None:
        self._answer = answer

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._answer.read_some(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._answer.close()
        super().close()
