"""How registries are reached in one transfer: who we are to each, and one client for all requests to it."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dockless._concurrency import check_jobs
from dockless.errors import CredentialsError, InvalidValueError
from dockless.oci.reference import DOCKER_HUB, Reference, check_registry
from dockless.registry.auth.credentials import CredentialProvider, Credentials

if TYPE_CHECKING:
    from dockless.registry.client import RegistryClient
    from dockless.registry.retry import RetryPolicy

DEFAULT_JOBS = 4


class Access:
    """Clients by registry, made when they are needed. A context manager, which closes them; it may be used again.

    credentials  `HOST[/PATH]` -> who we are there; the longest that fits, by whole components, wins, so that two
                 projects of one registry may have two. For other places they are found as `find_credentials` says
    insecure     plain http is allowed and certificates are not checked: of these registries (`host[:port]`), or, if it
                 is True, of all but Docker Hub, which has both
    ca_file      a PEM file of the CAs to trust
    auth_file    a docker or podman config file to use instead of those in their usual places
    jobs         the most requests in flight at a time, for each registry
    retry        how often and how long what fails is tried again; None: as RetryPolicy says
    """

    def __init__(
        self,
        *,
        credentials: Mapping[str, Credentials | CredentialProvider] | None = None,
        insecure: bool | Collection[str] = False,
        ca_file: str | None = None,
        auth_file: str | None = None,
        jobs: int = DEFAULT_JOBS,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.jobs = check_jobs(jobs)
        self._insecure = insecure if isinstance(insecure, bool) else frozenset(map(check_registry, insecure))
        self._retry = retry
        self.ca_file = ca_file
        if credentials is not None and not isinstance(credentials, Mapping):
            raise InvalidValueError("the credentials do not say for where", hint='write {"ghcr.io": Credentials(...)}')
        for place, who in (credentials or {}).items():
            if not isinstance(who, Credentials) and not hasattr(who, "credentials"):
                raise InvalidValueError(
                    f"what {place} is given is no Credentials", hint="write Credentials(user, password)"
                )
        self._credentials = dict(credentials or {}) or None
        self._auth_file = auth_file
        self._used: dict[str, Reference] = {}
        self._clients: dict[str, RegistryClient] = {}
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
        """The client for a reference's registry. Raises CredentialsError for an `auth_file` that is not there."""
        if self._auth_file is not None and not os.path.exists(self._auth_file):
            raise CredentialsError(f"there is no auth file {self._auth_file}", hint="check the path")
        from dockless.registry.client import RegistryClient

        with self._lock:
            self._used[reference.name] = reference
            if reference.registry not in self._clients:
                self._clients[reference.registry] = self._open.enter_context(
                    RegistryClient(
                        reference.registry,
                        credentials=self._credentials,
                        insecure=self._is_insecure(reference.registry),
                        ca_file=self.ca_file,
                        auth_file=self._auth_file,
                        jobs=self.jobs,
                        retry=self._retry,
                    )
                )
            return self._clients[reference.registry]

    def _is_insecure(self, registry: str) -> bool:
        if isinstance(self._insecure, bool):
            return self._insecure and registry != DOCKER_HUB
        return registry in self._insecure

    def explain(self) -> list[str]:
        """For each repository that was used, a line on where credentials were looked for and found; never a secret."""
        return [f"{name}: {self.client(used).explain_auth(used.repository)}" for name, used in self._used.items()]
