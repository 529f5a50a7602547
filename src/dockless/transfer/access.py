"""How registries are reached in one transfer: who we are to each, and one client for all requests to it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack

from dockless.reference import Reference
from dockless.registry.auth.credentials import Credentials
from dockless.registry.client import RegistryClient

DEFAULT_JOBS = 4


class Access:
    """Clients by registry, made when they are needed. A context manager, which closes them; it may be used again.

    credentials  `HOST[/PATH]` -> who we are there; the longest that fits wins, so that two projects of one registry
                 may have two. What none fits is found as `dockless.registry.find_credentials` says
    insecure     plain http is allowed and certificates are not checked
    ca_file      a PEM file of the CAs to trust
    auth_file    a docker or podman config file to use instead of those in their usual places
    jobs         the most requests in flight at a time, for each registry
    """

    def __init__(
        self,
        *,
        credentials: Mapping[str, Credentials] | None = None,
        insecure: bool = False,
        ca_file: str | None = None,
        auth_file: str | None = None,
        jobs: int = DEFAULT_JOBS,
    ) -> None:
        self.jobs = jobs
        self.insecure = insecure
        self.ca_file = ca_file
        self._credentials = dict(credentials or {})
        self._auth_file = auth_file
        self._used: dict[str, Reference] = {}
        self._clients: dict[tuple[str, Credentials | None], RegistryClient] = {}
        self._open = ExitStack()
        self._users = 0
        self._lock = threading.RLock()

    def __enter__(self) -> Access:
        with self._lock:
            self._users += 1
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._clients.clear()
                self._open.close()

    def client(self, reference: Reference) -> RegistryClient:
        """The client for a reference's registry, with the credentials for its repository."""
        given = self._given(reference)
        key = (reference.registry, given)
        with self._lock:
            self._used[reference.name] = reference
            if key not in self._clients:
                self._clients[key] = self._open.enter_context(
                    RegistryClient(
                        reference.registry,
                        credentials=given,
                        insecure=self.insecure,
                        ca_file=self.ca_file,
                        auth_file=self._auth_file,
                        jobs=self.jobs,
                    )
                )
            return self._clients[key]

    def explain(self) -> list[str]:
        """For each repository that was used, a line on where credentials were looked for and found; never a secret."""
        return [f"{name}: {self.client(used).explain_auth(used.repository)}" for name, used in self._used.items()]

    def _given(self, reference: Reference) -> Credentials | None:
        """By whole path components: a name that only begins alike may be anybody's."""
        parts = reference.name.split("/")
        for length in range(len(parts), 0, -1):
            found = self._credentials.get("/".join(parts[:length]))
            if found is not None:
                return found
        return None
