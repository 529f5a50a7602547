"""Files that `docker login` and `podman login` write (containers-auth.json(5), docker's config.json)."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from dockless._files import open_regular
from dockless.errors import CredentialsError
from dockless.oci.canonical_json import load_json
from dockless.oci.reference import DOCKER_HUB
from dockless.registry.auth.credentials import Credentials

_OLD_NAME = ".dockercfg"
_MAX_FILE = 4 * 1024 * 1024
# FIFOs of a shell, `<(...)` and pipes, which another process writes to. /dev/null is an empty file.
_NOT_REGULAR = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin", "/dev/null")
# Docker Hub's key is the URL it had in 2014; docker and podman accept all of these.
_DOCKER_HUB_KEYS = ("index.docker.io", DOCKER_HUB, "registry-1.docker.io")
DOCKER_HUB_HELPER_URL = "https://index.docker.io/v1/"


class ConfigFile(NamedTuple):
    """The parsed content of a config file."""

    path: str
    auths: Mapping[str, Any]
    cred_helpers: Mapping[str, str]
    creds_store: str

    def helper_for(self, host: str) -> str:
        """Return the name of the credential helper for a host; empty for none. `credHelpers` precede `credsStore`."""
        for key in keys_of(host):
            for name, helper in self.cred_helpers.items():
                if normalized(name) == key and helper:
                    return helper
        return self.creds_store

    def credentials(self, host: str, repository: str) -> Credentials | None:
        """Return the entry for a host. podman's entries may be for a path of it; the longest path is used.

        Raises CredentialsError for an invalid entry, whose content is not shown.
        """
        # Of several keys for one host, the plain one is used: docker wrote others before 2014.
        names = sorted(self.auths, key=lambda name: name == normalized(name))
        by_key = {normalized(name): name for name in names}
        for key in keys_of(host):
            parts = f"{key}/{repository}".split("/") if repository else [key]
            for n in range(len(parts), 0, -1):
                name = by_key.get("/".join(parts[:n]))
                if name is not None:
                    credentials = _entry(self.auths[name], f"{self.path} (auths of {name})")
                    if credentials is not None:
                        return credentials
        return None


def config_paths(environ: Mapping[str, str], explicit: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield the paths to search, each with the option or variable that names it explicitly, if any."""
    if explicit:
        yield explicit, "--auth-file"
        return
    if environ.get("REGISTRY_AUTH_FILE"):
        yield environ["REGISTRY_AUTH_FILE"], "REGISTRY_AUTH_FILE"
        return
    home = environ.get("HOME") or os.path.expanduser("~")
    if environ.get("XDG_RUNTIME_DIR"):
        yield os.path.join(environ["XDG_RUNTIME_DIR"], "containers/auth.json"), ""
    yield os.path.join(environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "containers/auth.json"), ""
    yield os.path.join(environ.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json"), ""
    # docker wrote it before 1.7; podman still reads it.
    yield os.path.join(home, _OLD_NAME), ""


def read_config_file(path: str, named_by: str = "") -> ConfigFile | None:
    """Return the content of `path`; None if it does not exist and was not named explicitly.

    Raises CredentialsError, which does not show the content.
    """

    def failure(cause: str) -> CredentialsError:
        by = f" (named by {named_by})" if named_by else ""
        return CredentialsError(f"cannot use {path}{by}", cause=cause, hint="fix the file, or run `docker login` again")

    try:
        with open(path, "rb") if path.startswith(_NOT_REGULAR) else open_regular(path) as file:
            raw = file.read(_MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if named_by:
            raise failure(error.strerror or str(error)) from None
        return None
    except OSError as error:
        raise failure(error.strerror or str(error)) from None
    if len(raw) > _MAX_FILE:
        raise failure(f"it is larger than {_MAX_FILE} bytes")
    if not raw.strip():
        return ConfigFile(path, {}, {}, "")
    try:
        content = load_json(raw.decode("utf-8-sig"))
    except ValueError:
        raise failure("it is not JSON") from None
    if not isinstance(content, dict):
        raise failure("it is not a JSON object")
    if os.path.basename(path) == _OLD_NAME:
        content = {"auths": content}
    auths, helpers, store = (content.get(key) for key in ("auths", "credHelpers", "credsStore"))
    if not isinstance(auths or {}, dict) or not isinstance(helpers or {}, dict) or not isinstance(store or "", str):
        raise failure("auths and credHelpers must be objects, and credsStore a string")
    if not all(isinstance(helper, str) for helper in (helpers or {}).values()):
        raise failure("the values of credHelpers must be strings")
    return ConfigFile(path, auths or {}, helpers or {}, store or "")


def keys_of(host: str) -> tuple[str, ...]:
    """Return the keys that stand for a host, in the order in which they are tried."""
    if host == DOCKER_HUB:
        return _DOCKER_HUB_KEYS
    return (host, host[:-4]) if host.endswith(":443") else (host, f"{host}:443")


def normalized(key: str) -> str:
    """Return the host of `https://HOST/v1/` and `host/`; a repository path, as podman writes it, is kept."""
    bare = key.partition("://")[2] if "://" in key else key
    bare = bare.rstrip("/")
    host, slash, path = bare.partition("/")
    return host.lower() if path in ("v1", "v2") or not slash else f"{host.lower()}/{path}"


def _entry(entry: Any, label: str) -> Credentials | None:
    def failure(cause: str) -> CredentialsError:
        return CredentialsError(f"cannot use the entry in {label}", cause=cause, hint="log in again")

    if not isinstance(entry, dict):
        raise failure("it is not an object")
    values = {key: entry.get(key) or "" for key in ("auth", "username", "password", "identitytoken", "registrytoken")}
    if not all(isinstance(value, str) for value in values.values()):
        raise failure("its values must be strings")
    username, password = values["username"], values["password"]
    if values["auth"]:
        username, password = _decode(values["auth"], failure)
    identity_token, registry_token = values["identitytoken"], values["registrytoken"]
    if not (username or password or identity_token or registry_token):
        # docker writes an empty entry for a host whose secret a helper stores.
        return None
    return Credentials(username, password, identity_token, registry_token, label)


def _decode(auth: str, failure: Callable[[str], CredentialsError]) -> tuple[str, str]:
    encoded = "".join(auth.split())
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise failure("its auth is not base64") from None
    username, colon, password = decoded.partition(b":")
    if not colon:
        raise failure("its auth contains no colon")
    try:
        return username.decode(), password.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise failure("its auth is not UTF-8") from None
