"""Access to registries: credentials, TLS and retries, and one client for all requests to a registry."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from dockless._concurrency import check_jobs
from dockless.errors import CredentialsError, InvalidValueError, RegistryError
from dockless.oci.reference import DOCKER_HUB, Reference, check_registry
from dockless.registry.auth.credentials import CredentialProvider, Credentials
from dockless.transfer.locations import check_path

if TYPE_CHECKING:
    from dockless.registry.client import RegistryClient
    from dockless.registry.retry import RetryPolicy

DEFAULT_JOBS = 4
# What RegistryAccess has while it is used, besides its arguments.
_CONNECTIONS = frozenset(("_used", "_clients", "_open", "_users", "_lock"))


class RegistryAccess:
    """The registry clients of a program, one for each registry. A context manager that closes them at exit.

    credentials  `HOST[/PATH]` -> credentials. The longest key whose components match applies, so that projects of one
                 registry may have different credentials. For other registries, see `find_credentials`
    insecure     allow plain HTTP and unverified certificates: for these registries (`host[:port]`), or, if True, for
                 all but Docker Hub. Of the hosts that a registry refers to, such as its token server, those that are
                 listed here are not verified
    insecure_hosts
                 the same for hosts that are no registries, in addition to those of `insecure`. Foreign layers are
                 downloaded from a host with a private address only if the host is in one of the two lists, or is
                 the registry of the image
    ca_file      a PEM file of trusted CAs, in addition to the usual ones
    auth_file    a Docker or Podman config file to use instead of the usual config files
    jobs         the maximum number of concurrent requests to each registry
    retry        how often and how long failed requests are retried; None: the defaults of RetryPolicy

    A pickle of this object contains `credentials`. Raises InvalidValueError.
    """

    def __init__(
        self,
        *,
        credentials: Mapping[str, Credentials | CredentialProvider] | None = None,
        insecure: bool | Collection[str] = False,
        insecure_hosts: Collection[str] = (),
        ca_file: str | None = None,
        auth_file: str | None = None,
        jobs: int = DEFAULT_JOBS,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.jobs = check_jobs(jobs)
        if not isinstance(insecure, bool) and (
            isinstance(insecure, (str, bytes)) or not isinstance(insecure, Collection)
        ):
            raise InvalidValueError(
                f"insecure is {insecure!r:.200}, neither a bool nor a list of registries",
                hint='write ["localhost:5000"]',
            )
        for name, path in (("ca_file", ca_file), ("auth_file", auth_file)):
            if path is not None:
                check_path(path, name)
        self._insecure = insecure if isinstance(insecure, bool) else frozenset(map(check_registry, insecure))
        named = () if isinstance(self._insecure, bool) else self._insecure
        self.insecure_hosts = frozenset((*named, *map(check_registry, insecure_hosts)))
        self._retry = retry
        self.ca_file = ca_file
        if credentials is not None and not isinstance(credentials, Mapping):
            raise InvalidValueError(
                "credentials must be a mapping of registries to credentials",
                hint='write {"ghcr.io": Credentials(...)}',
            )
        for registry, value in (credentials or {}).items():
            if not isinstance(value, Credentials) and not hasattr(value, "credentials"):
                raise InvalidValueError(
                    f"the credentials for {registry} must be a `Credentials` object",
                    hint="write Credentials(user, password)",
                )
        self._credentials = dict(credentials or {}) or None
        self._auth_file = auth_file
        self._open_nothing()

    def _open_nothing(self) -> None:
        self._used: dict[str, Reference] = {}
        self._clients: dict[str, RegistryClient] = {}
        self._open = ExitStack()
        self._users = 0
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        """Return the arguments, which include credentials that were given. Connections and tokens are not pickled."""
        return {name: value for name, value in self.__dict__.items() if name not in _CONNECTIONS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the arguments."""
        self.__dict__.update(state)
        self._open_nothing()

    def __enter__(self) -> RegistryAccess:
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
        """Return the client for a reference's registry. Raises CredentialsError if `auth_file` does not exist."""
        if not isinstance(reference, Reference):
            raise InvalidValueError(f"{reference!r:.200} is not a Reference", hint='write Reference.parse("...")')
        if self._auth_file is not None and not os.path.exists(self._auth_file):
            raise CredentialsError(f"the auth file {self._auth_file} does not exist", hint="check the path")
        from dockless.registry.client import RegistryClient

        with self._lock:
            self._used[reference.name] = reference
            if reference.registry not in self._clients:
                self._clients[reference.registry] = self._open.enter_context(
                    RegistryClient(
                        reference.registry,
                        credentials=self._credentials,
                        insecure=self._is_insecure(reference.registry),
                        insecure_hosts=self.insecure_hosts,
                        ca_file=self.ca_file,
                        auth_file=self._auth_file,
                        jobs=self.jobs,
                        retry=self._retry,
                    )
                )
            return self._clients[reference.registry]

    def connection_failure(self, registry: str) -> RegistryError | None:
        """Return the last error of connecting to `registry`, if it was used and no connection ever succeeded."""
        with self._lock:
            client = self._clients.get(registry)
        return client.connection_failure if client is not None else None

    def explain(self) -> list[str]:
        """Return a line for each repository that was used: the credential sources tried, and the one that matched."""
        return [f"{name}: {self.client(used).explain_auth(used.repository)}" for name, used in self._used.items()]

    def _is_insecure(self, registry: str) -> bool:
        if isinstance(self._insecure, bool):
            return self._insecure and registry != DOCKER_HUB
        return registry in self._insecure


def to_access(access: RegistryAccess | None) -> RegistryAccess:
    """Return `access`, or one with the default arguments. Raises InvalidValueError for a value of another type."""
    if access is not None and not hasattr(access, "client"):
        raise InvalidValueError(f"access is {access!r:.200}, not a RegistryAccess", hint="write RegistryAccess(...)")
    return access or RegistryAccess()
