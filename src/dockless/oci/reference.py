"""References: `registry/repository:tag@digest` (distribution's reference grammar)."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from dockless.errors import InvalidValueError, printable
from dockless.oci.digest import Digest

DOCKER_HUB = "docker.io"
# Docker Hub answers under several names; its tools write any of them.
_DOCKER_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

# distribution spec, "Pulling manifests": <name> and <reference>.
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_HOST = re.compile(
    r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*)"
    r"(?::(?P<port>[0-9]{1,5}))?\Z"
)
_MAX_NAME = 255


def check_registry(text: str) -> str:
    """`text` if it is a registry's `host[:port]` (IPv6 in brackets), in lower case; else InvalidValueError."""
    if "://" in text:
        scheme = text.split("://")[0]
        _no("registry", text.split("@")[-1], f"drop the {printable(scheme, 20)}://")
    if "@" in text:
        # What is before the @ may be a password: it is not shown.
        _no("registry", text.rsplit("@", 1)[1], "write no user or password in it; log in instead")
    found = _HOST.match(text)
    if not found or (found["port"] and not 0 < int(found["port"]) < 65536):
        _no("registry", text, "write host or host:port, such as ghcr.io or localhost:5000")
    host = text.lower()
    return DOCKER_HUB if host in _DOCKER_HUB_NAMES else host


def check_repository(text: str) -> str:
    """`text` if it is a repository's name (distribution spec, `<name>`), else InvalidValueError."""
    if len(text) > _MAX_NAME:
        _no("repository", text, f"write at most {_MAX_NAME} characters")
    if not all(_COMPONENT.match(part) for part in text.split("/")):
        if text != text.lower() and all(_COMPONENT.match(part) for part in text.lower().split("/")):
            _no("repository", text, f"write it in lower case: {text.lower()}")
        _no(
            "repository",
            text,
            "write path components of a-z and 0-9, with single '.', '_', '__' or '-' inside, parted by '/'",
        )
    return text


def check_tag(text: str) -> str:
    """`text` if it is a tag (distribution spec, `<reference>`), else InvalidValueError."""
    if not _TAG.match(text):
        _no("tag", text, "write 1 to 128 of A-Z a-z 0-9 _ . - and begin with none of . -")
    return text


class Reference(NamedTuple):
    """Where an image is: `registry` is a host with its port, `repository` a path in it; a digest outranks a tag.

    The grammar is that of the distribution project (its `reference` package) and of the distribution spec.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str, *, default_registry: str | None = DOCKER_HUB) -> Reference:
        """`text` by Docker's rules: the first part is a registry if it holds a dot or a colon or is `localhost`.

        Without one it is `default_registry`'s; with None there that is an error. `library/` is put before a single
        name on Docker Hub. No tag is made up. Raises InvalidValueError.
        """
        if not isinstance(text, str):
            raise InvalidValueError(
                f"{text!r:.200} is no reference, but a {type(text).__name__}", hint="write it as text"
            )
        if not text or text != text.strip():
            _no("reference", text, "write registry/repository:tag, with no spaces around it")
        if "://" in text:
            _no("reference", text.split("@")[-1], f"drop the {printable(text.split('://')[0], 20)}://")
        rest, at, digest_text = text.partition("@")
        if "/" in text and "@" in text.split("/")[0]:
            _no("reference", digest_text.rsplit("@", 1)[-1], "write no user or password in it; log in instead")
        digest = Digest(digest_text) if at else None
        first, slash, path = rest.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            registry, rest = check_registry(first), path
        elif default_registry is None:
            _no("reference", text, f"name the registry: registry/repository:tag (Docker Hub's is {DOCKER_HUB})")
        else:
            registry = check_registry(default_registry)
        name, colon, tag = rest.partition(":")
        if registry == DOCKER_HUB and "/" not in name:
            name = f"library/{name}"
        return cls(registry, check_repository(name), check_tag(tag) if colon else "", digest)

    @property
    def name(self) -> str:
        """`registry/repository`, without tag or digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def version(self) -> str:
        """What a manifest is asked for by: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}@{self.digest}" if self.digest else f"{self.name}{tag}"


def _no(kind: str, text: str, hint: str) -> NoReturn:
    raise InvalidValueError(f"invalid {kind} {printable(text, 300)!r}", hint=hint)
