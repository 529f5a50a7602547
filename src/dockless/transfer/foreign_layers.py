"""Foreign layers, which are downloaded from the URLs in the manifest (layer.md, "Non-Distributable Layers")."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, BinaryIO

from dockless._units import format_count
from dockless.blobs import BlobSource
from dockless.errors import DocklessError, RegistryError
from dockless.oci.descriptor import Descriptor

if TYPE_CHECKING:
    from dockless.registry.http.response import HttpResponse
    from dockless.registry.http.session import HttpSession

_LABEL = "the URL of the layer"


class ForeignLayerSource:
    """Foreign layers from `source` if it has them, else from the first URL that works; other blobs from `source`.

    A BlobSource. No credentials are sent to a URL: the author of the manifest chose it, not the user.
    """

    def __init__(self, source: BlobSource, *, ca_file: str | None = None, hosts: Collection[str] = ()) -> None:
        """URLs may lead to this machine or to a private network only if they are of these `hosts` (`host[:port]`)."""
        self._source = source
        self._ca_file = ca_file
        self._hosts = hosts
        self._session: HttpSession | None = None
        self._lock = threading.Lock()

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """Return the blob's bytes, which are not verified. Raises RegistryError if no URL works."""
        if not descriptor.is_foreign:
            return self._source.open(descriptor)
        failures = []
        try:
            return self._source.open(descriptor)
        except DocklessError as error:
            failures.append(error.problem)
        for url in descriptor.urls:
            try:
                return self._download(url, descriptor)
            except RegistryError as error:
                failures.append(f"{error.problem}: {error.cause}" if error.cause else error.problem)
        raise RegistryError(
            f"cannot download the foreign layer {descriptor.digest}",
            cause="; ".join(failures),
            hint="do not copy foreign layers: `--keep-foreign-layers` (in Pants: `copy_foreign_layers=False`); "
            "a host in a private network must be named by `--insecure-registry` (in Pants: a registry with "
            "`insecure = true`)",
        )

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()

    def _open_session(self) -> HttpSession:
        # Imported here, because few images have foreign layers.
        from dockless.registry.clock import Clock
        from dockless.registry.http.addresses import AddressPolicy
        from dockless.registry.http.session import HttpSession
        from dockless.registry.http.tls import Trust

        with self._lock:
            if self._session is None:
                # No URL is of this registry, so `insecure` applies to none: every certificate is verified.
                trust = Trust("registry.invalid", False, self._ca_file, os.environ)
                addresses = AddressPolicy(("", None), hosts=self._named_hosts())
                self._session = HttpSession(jobs=4, trust=trust, clock=Clock(), environ=os.environ, addresses=addresses)
            return self._session

    def _download(self, url: str, descriptor: Descriptor) -> BinaryIO:
        from dockless.registry.http.redirects import send_following_redirects
        from dockless.registry.http.session import HttpRequest
        from dockless.registry.http.url_policy import redact

        self._check("", url)
        response, _ = send_following_redirects(self._open_session(), HttpRequest("GET", url), self._check)
        if response.status != 200:
            response.close()
            raise RegistryError(f"{redact(response.url)} returned status {response.status}")
        if response.length is not None and response.length != descriptor.size:
            length = response.length
            response.close()
            raise RegistryError(
                f"{redact(response.url)} has {format_count(length, 'byte')}",
                cause=f"the size of the layer is {descriptor.size}",
            )
        return io.BufferedReader(_ResponseBody(response, descriptor.size + 1), 1 << 20)

    def _named_hosts(self) -> frozenset[tuple[str, int | None]]:
        from dockless.registry.http.url_policy import split_registry

        return frozenset(map(split_registry, self._hosts))

    def _check(self, source: str, url: str) -> None:
        """Raise ProtocolError for an address of a private network, and for a redirect from HTTPS to HTTP."""
        from dockless.registry.http.url_policy import check_destination

        check_destination(url, "", _LABEL, hosts=self._named_hosts())
        if source:
            check_destination(url, source, _LABEL, hosts=self._named_hosts())


class _ResponseBody(io.RawIOBase):
    """The first `limit` bytes of a response body."""

    def __init__(self, response: HttpResponse, limit: int) -> None:
        self._response = response
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._response.read_some(min(len(view), self._left)) if self._left else b""
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        """Close the response."""
        self._response.close()
        super().close()
