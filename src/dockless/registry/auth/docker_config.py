"""The files that `docker login` and `podman login` write (containers-auth.json(5), docker's config.json)."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dockless.errors import CredentialsError
from dockless.oci.canonical_json import load_json
from dockless.oci.reference import DOCKER_HUB
from dockless.registry.auth.credentials import Credentials

_OLD_NAME = ".dockercfg"
_MAX_FILE = 4 * 1024 * 1024
# `<(...)` and a pipe: somebody writes it.
_OF_A_SHELL = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")
# Docker Hub's key is its address of 2014; its tools know it by all of these.
_DOCKER_HUB_KEYS = ("index.docker.io", DOCKER_HUB, "registry-1.docker.io")
DOCKER_HUB_HELPER_URL = "https://index.docker.io/v1/"


class ConfigFile(NamedTuple):
    """A config file that exists, and its parsed content."""

    path: str
    auths: Mapping[str, Any]
    cred_helpers: Mapping[str, str]
    creds_store: str

    def helper_for(self, host: str) -> str:
        """The name of the credential helper for a host; empty for none. A helper of its own outranks the store."""
        for key in keys_of(host):
            for name, helper in self.cred_helpers.items():
                if normalized(name) == key and helper:
                    return helper
        return self.creds_store

    def credentials(self, host: str, repository: str) -> Credentials | None:
        """The entry for a host; podman's may be for a part of its repositories, and the longest wins.

        Raises CredentialsError for an entry that cannot be read, without showing it.
        """
        # Of several names for one host the plain one is meant: docker's own logins of before 2014 had others.
        names = sorted(self.auths, key=lambda name: name == normalized(name))
        by_key = {normalized(name): name for name in names}
        for key in keys_of(host):
            parts = f"{key}/{repository}".split("/") if repository else [key]
            for n in range(len(parts), 0, -1):
                name = by_key.get("/".join(parts[:n]))
                if name is not None:
                    found = _entry(self.auths[name], f"{self.path} (auths of {name})")
                    if found is not None:
                        return found
        return None


def config_paths(environ: Mapping[str, str], explicit: str | None = None) -> Iterator[tuple[str, str]]:
    """Where to look, in order: (path, the option or variable that names it outright, or empty)."""
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
    # Of before docker 1.7; podman still reads it.
    yield os.path.join(home, _OLD_NAME), ""


def read_config_file(path: str, named_by: str = "") -> ConfigFile | None:
    """The file at `path`; None where there is none and nobody named it. Raises CredentialsError, showing no content."""

    def no(cause: str) -> CredentialsError:
        by = f" (named by {named_by})" if named_by else ""
        return CredentialsError(f"cannot use {path}{by}", cause=cause, hint="mend it, or log in again")

    try:
        if stat.S_ISFIFO(os.stat(path).st_mode) and not path.startswith(_OF_A_SHELL):
            # It would be waited for, perhaps for ever.
            raise no("it is a FIFO, not a file")
        with open(path, "rb") as file:
            raw = file.read(_MAX_FILE + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if named_by:
            raise no(error.strerror or str(error)) from None
        return None
    except OSError as error:
        raise no(error.strerror or str(error)) from None
    if len(raw) > _MAX_FILE:
        raise no(f"it is larger than {_MAX_FILE} bytes")
    if not raw.strip():
        return ConfigFile(path, {}, {}, "")
    try:
        found = load_json(raw.decode("utf-8-sig"))
    except ValueError:
        raise no("it is not JSON") from None
    if not isinstance(found, dict):
        raise no("it holds no object at its top")
    if os.path.basename(path) == _OLD_NAME:
        found = {"auths": found}
    auths, helpers, store = (found.get(key) for key in ("auths", "credHelpers", "credsStore"))
    if not isinstance(auths or {}, dict) or not isinstance(helpers or {}, dict) or not isinstance(store or "", str):
        raise no("auths and credHelpers must be objects, credsStore a string")
    if not all(isinstance(helper, str) for helper in (helpers or {}).values()):
        raise no("the values of credHelpers must be strings")
    return ConfigFile(path, auths or {}, helpers or {}, store or "")


def keys_of(host: str) -> tuple[str, ...]:
    """The keys that mean a host, in the order in which they are asked for."""
    if host == DOCKER_HUB:
        return _DOCKER_HUB_KEYS
    return (host, host[:-4]) if host.endswith(":443") else (host, f"{host}:443")


def normalized(key: str) -> str:
    """`https://HOST/v1/` and `host/` are the host; a path of podman's stays."""
    bare = key.partition("://")[2] if "://" in key else key
    bare = bare.rstrip("/")
    host, slash, path = bare.partition("/")
    return host.lower() if path in ("v1", "v2") or not slash else f"{host.lower()}/{path}"


def _entry(entry: Any, where: str) -> Credentials | None:
    def no(cause: str) -> CredentialsError:
        return CredentialsError(f"cannot use the entry in {where}", cause=cause, hint="log in again")

    if not isinstance(entry, dict):
        raise no("it is not an object")
    values = {key: entry.get(key) or "" for key in ("auth", "username", "password", "identitytoken", "registrytoken")}
    if not all(isinstance(value, str) for value in values.values()):
        raise no("its values must be strings")
    username, password = values["username"], values["password"]
    if values["auth"]:
        username, password = _decode(values["auth"], no)
    found = Credentials(username, password, values["identitytoken"], values["registrytoken"], where)
    if not any(found[:4]):
        # What docker leaves for a host whose secret a helper keeps.
        return None
    return found


def _decode(auth: str, no: Any) -> tuple[str, str]:
    packed = "".join(auth.split())
    try:
        decoded = base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise no("its auth is not base64") from None
    username, colon, password = decoded.partition(b":")
    if not colon:
        raise no("its auth holds no colon")
    try:
        return username.decode(), password.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        raise no("its auth is not UTF-8") from None
