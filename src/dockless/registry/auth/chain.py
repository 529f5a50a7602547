"""All sources of credentials, in their order."""

from __future__ import annotations

import os
from collections.abc import Mapping

from dockless.registry.auth.config_files import config_paths, read_config_file
from dockless.registry.auth.credentials import Credentials, Found
from dockless.registry.auth.google import google_credentials, is_google
from dockless.registry.auth.helpers import ask_helper


def find_credentials(
    host: str,
    repository: str = "",
    *,
    given: Credentials | None = None,
    auth_file: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Found:
    """Who we are to `host` (with its port), for a repository.

    The order: what was given; the file of `--auth-file` or REGISTRY_AUTH_FILE, alone; else podman's auth.json in
    XDG_RUNTIME_DIR and XDG_CONFIG_HOME, then docker's config.json in DOCKER_CONFIG or ~/.docker; in each file a helper
    of the host, then the helper for all hosts, then the entry in `auths`; then, for Google's registries, Google's own;
    else nobody. Raises CredentialsError for a source that is for this host and broken.
    """
    if given is not None:
        return Found(given.checked(), (given.source,))
    env = os.environ if environ is None else environ
    tried = []
    for path, named_by in config_paths(env, auth_file):
        config = read_config_file(path, named_by)
        if config is None:
            tried.append(f"{path} (absent)")
            continue
        helper = config.helper_for(host)
        if helper:
            found = ask_helper(helper, host, env)
            tried.append(f"docker-credential-{helper} of {path}")
            if found is not None:
                return Found(found.checked(), tuple(tried))
        found = config.credentials(host, repository)
        tried.append(path if found else f"{path} (no entry for {host})")
        if found is not None:
            return Found(found.checked(), tuple(tried))
    if is_google(host):
        found = google_credentials(host)
        tried.append("Google's Application Default Credentials")
        if found is not None:
            return Found(found.checked(), tuple(tried))
    return Found(None, tuple(tried))
