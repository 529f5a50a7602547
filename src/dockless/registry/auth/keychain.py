"""The sources of credentials, in the order in which they are searched."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Union

from dockless.errors import CredentialsError
from dockless.registry.auth.credential_helpers import ask_helper
from dockless.registry.auth.credentials import CredentialProvider, Credentials, ResolvedCredentials
from dockless.registry.auth.docker_config import config_paths, keys_of, normalized, read_config_file
from dockless.registry.auth.google import GoogleCredentialProvider, is_google

if TYPE_CHECKING:
    from dockless.registry.http.session import HttpSession

# Credentials given by a caller: for all hosts, or by `host` or `host/path`.
GivenCredentials = Union[Credentials, CredentialProvider, Mapping[str, Union[Credentials, CredentialProvider]], None]


def find_credentials(
    host: str,
    repository: str = "",
    *,
    given: GivenCredentials = None,
    auth_file: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> ResolvedCredentials:
    """Return the credentials for a repository of `host` (with its port).

    The sources are searched in this order: `given` (of several, the credentials for the longest part of
    `host/repository`); the file of `--auth-file` or REGISTRY_AUTH_FILE alone, or else podman's auth.json in
    XDG_RUNTIME_DIR and XDG_CONFIG_HOME, docker's config.json in DOCKER_CONFIG or ~/.docker, and ~/.dockercfg; in each
    file the credential helper for the host, the one for all hosts, and the entry in `auths`; for Google's registries
    Application Default Credentials. Otherwise access is anonymous. Raises CredentialsError for a source that names this
    host and is broken.
    """
    if not isinstance(host, str) or not isinstance(repository, str):
        raise CredentialsError(f"{host!r:.100} and {repository!r:.100} are not a host and a repository")
    return find_credentials_with(None, host, repository, given, auth_file, os.environ if environ is None else environ)


def find_credentials_with(
    session: HttpSession | None,
    host: str,
    repository: str,
    given: GivenCredentials,
    auth_file: str | None,
    environ: Mapping[str, str],
) -> ResolvedCredentials:
    """Return the same as `find_credentials`. Google's tokens are requested with the proxies and CAs of `session`."""
    searched = []
    if given is not None:
        chosen = _longest(given, host, repository) if isinstance(given, Mapping) else given
        if chosen is not None:
            return _resolved(chosen, ())
        searched.append(f"the credentials given by the caller (none for {host})")
    for path, named_by in config_paths(environ, auth_file):
        config = read_config_file(path, named_by)
        if config is None:
            searched.append(f"{path} (absent)")
            continue
        helper = config.helper_for(host)
        if helper:
            credentials = ask_helper(helper, host, environ)
            searched.append(f"docker-credential-{helper} of {path}{'' if credentials else f' (none for {host})'}")
            if credentials is not None:
                return _resolved(credentials, searched)
        credentials = config.credentials(host, repository)
        if credentials is not None:
            return _resolved(credentials, [*searched, path])
        searched.append(f"{path} (no entry for {host})")
    if is_google(host):
        provider = GoogleCredentialProvider.default(session)
        if provider is not None:
            return _resolved(provider, searched)
        searched.append("Google's Application Default Credentials (none)")
    return ResolvedCredentials(None, tuple(searched))


def _resolved(chosen: Credentials | CredentialProvider, searched: Sequence[str]) -> ResolvedCredentials:
    if isinstance(chosen, Credentials):
        return ResolvedCredentials(chosen.checked(), tuple(searched) or (chosen.source,))
    credentials = chosen.credentials().checked()
    return ResolvedCredentials(credentials, (*searched, credentials.source), chosen)


def _longest(
    given: Mapping[str, Credentials | CredentialProvider], host: str, repository: str
) -> Credentials | CredentialProvider | None:
    """Return those for the longest prefix, by whole path components: `gcr.io/team` is not for `gcr.io/team-b`."""
    by_key = {normalized(name): chosen for name, chosen in given.items()}
    for key in keys_of(host):
        parts = f"{key}/{repository}".rstrip("/").split("/")
        for n in range(len(parts), 0, -1):
            chosen = by_key.get("/".join(parts[:n]))
            if chosen is not None:
                return chosen
    return None
