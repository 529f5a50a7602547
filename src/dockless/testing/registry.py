"""`Registry`: storage, profile, users, faults and sockets of a registry for tests."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Callable

from dockless.oci.digest import Digest
from dockless.testing.access import Access, Auth
from dockless.testing.api import Api
from dockless.testing.content import Storage, StoredManifest
from dockless.testing.directory import DirectoryStorage
from dockless.testing.exchange import Exchange
from dockless.testing.faults import Fault, FaultScript
from dockless.testing.memory import MemoryStorage
from dockless.testing.message import Request, Response
from dockless.testing.profiles import Profile, find_profile
from dockless.testing.recording import RecordedRequest
from dockless.testing.routes import Route, Routes
from dockless.testing.server import Serve, Server

MEMORY = "memory"


class Registry:
    """A registry on a loopback port. A context manager, which starts it and closes it.

    `storage` is "memory" or a directory, which is kept. `profile` is the behavior to emulate, by name or as a value.
    `auth` has the users. `tls` is a server context; None: HTTP. `faults` are injected. `port` 0 selects a free port.
    `repositories` exist from the start, for profiles that do not create them. `local_only` refuses requests that may
    come from a web page, with 403: those with an Origin header or with a Host that is neither a loopback name nor
    `address`. `max_requests` is the number of requests that are kept, the latest; None: all until `reset_requests`,
    each with up to 64 KiB of its body. `max_memory` is the number of bytes of content in memory, beyond which the
    response is 413; None: no limit.

    Raises InvalidValueError for an unknown profile or a directory with other content, OSError if it cannot listen.
    """

    def __init__(
        self,
        storage: str | Path = MEMORY,
        profile: str | Profile = "strict",
        *,
        auth: Auth = None,
        tls: ssl.SSLContext | None = None,
        faults: Iterable[Fault] = (),
        address: str = "127.0.0.1",
        port: int = 0,
        repositories: Sequence[str] = (),
        local_only: bool = False,
        max_requests: int | None = None,
        max_memory: int | None = None,
    ) -> None:
        self.profile = find_profile(profile)
        self.storage: Storage = MemoryStorage(max_memory) if storage == MEMORY else DirectoryStorage(Path(storage))
        for repository in repositories:
            self.storage.create_repository(repository)
        self._tls = tls
        self._address = (address, port)
        self._access = Access(auth, self.profile)
        self._script = FaultScript(faults)
        self._lock = threading.Lock()
        self._requests: deque[RecordedRequest] = deque(maxlen=max_requests)
        self._local_only = local_only
        self._servers: list[Server] = []
        self._stopping = threading.Event()
        self.host = ""

    def start(self) -> None:
        """Start to serve; after `stop`, on the same port and with the same content."""
        self._stopping.clear()
        server = Server(self._address, self._tls)
        self._address = (self._address[0], server.address[1])
        self.host = server.host
        # The object store to which blobs are redirected.
        store = Server((self._address[0], 0), self._tls)
        api = Api(self.storage, self.profile, self._access, self.url)
        api.blobs.store_address = store.address
        self._servers = [server, store]
        server.start(self._exchange(self.url, api.handle))
        store.start(self._exchange(self.url.replace(self.host, store.host), api.fetch))

    def stop(self) -> None:
        """Stop to serve and close all connections; the content is kept."""
        self._stopping.set()
        for server in self._servers:
            server.stop()
        self._servers = []

    def close(self) -> None:
        """Stop to serve and close the storage."""
        self.stop()
        self.storage.close()

    def __enter__(self) -> Registry:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The URL of the registry, such as `http://127.0.0.1:5000`."""
        return f"{'https' if self._tls else 'http'}://{self.host}"

    @property
    def requests(self) -> list[RecordedRequest]:
        """The requests since the start or `reset_requests`, in the order of arrival, at most `max_requests`."""
        with self._lock:
            return list(self._requests)

    def reset_requests(self) -> None:
        """Forget the requests so far."""
        with self._lock:
            self._requests.clear()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The faults in force."""
        return self._script.faults

    @faults.setter
    def faults(self, faults: Iterable[Fault]) -> None:
        """Replace the faults, and reset all counts."""
        self._script = FaultScript(faults)

    def lose_sessions(self) -> None:
        """End all upload sessions."""
        self.storage.drop_uploads()

    def expire_tokens(self) -> None:
        """Invalidate all tokens that were issued."""
        self._access.expire_tokens()

    def repositories(self) -> list[str]:
        """Return the names of all repositories."""
        return self.storage.repositories()

    def tags(self, repository: str) -> dict[str, Digest]:
        """Return the digest of each tag."""
        return self.storage.tags(repository)

    def manifest(self, repository: str, reference: str) -> StoredManifest:
        """Return the manifest of a tag or digest. Raises KeyError if there is none."""
        digest = Digest(reference) if ":" in reference else self.storage.tags(repository)[reference]
        found = self.storage.manifest(repository, digest)
        if found is None:
            raise KeyError(digest)
        return found

    def manifests(self, repository: str) -> dict[Digest, StoredManifest]:
        """Return the manifests of a repository by digest."""
        return self.storage.manifests(repository)

    def blobs(self, repository: str) -> dict[Digest, int]:
        """Return digest and size of each blob."""
        return self.storage.blobs(repository)

    def blob(self, repository: str, digest: str) -> bytes:
        """Return the bytes of a blob. Raises KeyError if there is none."""
        with self.storage.open_blob(repository, Digest(digest)) as content:
            return content.read()

    def put_blob(self, repository: str, data: bytes) -> Digest:
        """Store a blob without a request."""
        upload = self.storage.start_upload(repository)
        upload.append(data)
        self.storage.finish_upload(upload, Digest.of(data))
        return Digest.of(data)

    def put_manifest(self, repository: str, raw: bytes, media_type: str, tag: str | None = None) -> Digest:
        """Store a manifest without a request and without checks, so that it may be invalid."""
        self.storage.put_manifest(repository, StoredManifest(raw, media_type), tag)
        return Digest.of(raw)

    def _exchange(self, origin: str, handle: Callable[[Request, Route], Response]) -> Serve:
        routes = Routes(self.profile)
        # The faults may be replaced while requests are handled.
        return Exchange(
            origin,
            routes.find,
            lambda route, length: self._script.strike(route, length),
            self._record,
            self._effects,
            handle,
            self._stopping,
            self._address[0] if self._local_only else None,
        ).serve

    def _record(self, request: RecordedRequest) -> None:
        with self._lock:
            self._requests.append(request)

    def _effects(self, fault: Fault) -> None:
        if fault.lose_sessions:
            self.lose_sessions()
        if fault.expire_tokens:
            self.expire_tokens()
