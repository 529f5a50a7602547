"""All sources of credentials, in their order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Union

from dockless.registry.auth.credential_helpers import ask_helper
from dockless.registry.auth.credentials import Account, Credentials, Found
from dockless.registry.auth.docker_config import config_paths, keys_of, normalized, read_config_file
from dockless.registry.auth.google import GoogleCredentialProvider, is_google

if TYPE_CHECKING:
    from dockless.registry.http.session import HttpSession

# What a caller may give outright: credentials, an account that renews them, or either by `host` or `host/path`.
Given = Union[Credentials, Account, Mapping[str, Union[Credentials, Account]], None]


def find_credentials(
    host: str,
    repository: str = "",
    *,
    given: Given = None,
    auth_file: str | None = None,
    environ: Mapping[str, str] | None = None,
    session: HttpSession | None = None,
) -> Found:
    """Who we are to `host` (with its port), for a repository.

    The order: what was given (of several, the one for the longest part of `host/repository`); the file of `--auth-file`
    or REGISTRY_AUTH_FILE, alone; else podman's auth.json in XDG_RUNTIME_DIR and XDG_CONFIG_HOME, docker's config.json
    in DOCKER_CONFIG or ~/.docker, and ~/.dockercfg; in each file a helper of the host, then the helper for all hosts,
    then the entry in `auths`; then, for Google's registries, Google's own; else nobody. Raises CredentialsError for a
    source that is for this host and broken. Google's tokens are requested through the proxies and CAs of `session`.
    """
    tried = []
    if given is not None:
        chosen = _longest(given, host, repository) if isinstance(given, Mapping) else given
        if chosen is not None:
            return _of(chosen, ())
        tried.append(f"what was given (nothing for {host})")
    env = os.environ if environ is None else environ
    for path, named_by in config_paths(env, auth_file):
        config = read_config_file(path, named_by)
        if config is None:
            tried.append(f"{path} (absent)")
            continue
        helper = config.helper_for(host)
        if helper:
            found = ask_helper(helper, host, env)
            tried.append(f"docker-credential-{helper} of {path}{'' if found else f' (nothing for {host})'}")
            if found is not None:
                return _of(found, tried)
        found = config.credentials(host, repository)
        if found is not None:
            return _of(found, [*tried, path])
        tried.append(f"{path} (no entry for {host})")
    if is_google(host):
        account = GoogleCredentialProvider.default(session)
        if account is not None:
            return _of(account, tried)
        tried.append("Google's Application Default Credentials (none)")
    return Found(None, tuple(tried))


def _of(chosen: Credentials | Account, tried: list[str] | tuple[str, ...]) -> Found:
    if isinstance(chosen, Credentials):
        return Found(chosen.checked(), tuple(tried) or (chosen.source,))
    found = chosen.credentials().checked()
    return Found(found, (*tried, found.source), chosen)


def _longest(given: Mapping[str, Credentials | Account], host: str, repository: str) -> Credentials | Account | None:
    """Whole path components only: `gcr.io/team` is not for `gcr.io/team-b`."""
    by_key = {normalized(name): who for name, who in given.items()}
    for key in keys_of(host):
        parts = f"{key}/{repository}".rstrip("/").split("/")
        for n in range(len(parts), 0, -1):
            found = by_key.get("/".join(parts[:n]))
            if found is not None:
                return found
    return None
