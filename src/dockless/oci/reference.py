"""References: `registry/repository:tag@digest` (distribution's reference grammar)."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from dockless.errors import InvalidValueError, printable
from dockless.oci.digest import Digest

DOCKER_HUB = "docker.io"
# Docker Hub has several host names, and tools write any of them.
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
    """Return a registry's `host[:port]` (IPv6 in brackets) in lower case. Raises InvalidValueError."""
    _check_kind("registry", text)
    if "://" in text:
        scheme = text.split("://")[0]
        _fail("registry", text.split("@")[-1], f"remove {printable(scheme, 20)}://")
    if "@" in text:
        # The part before the @ may be a password, which no error shows.
        _fail("registry", text.rsplit("@", 1)[1], "remove the user and password, and log in instead")
    match = _HOST.match(text)
    if not match or (match["port"] and not 0 < int(match["port"]) < 65536):
        _fail("registry", text, "write host or host:port, such as ghcr.io or localhost:5000")
    host = text.lower()
    return DOCKER_HUB if host in _DOCKER_HUB_NAMES else host


def check_repository(text: str) -> str:
    """Return `text` if it is a repository name (distribution spec, `<name>`). Raises InvalidValueError."""
    _check_kind("repository", text)
    if len(text) > _MAX_NAME:
        _fail("repository", text, f"write at most {_MAX_NAME} characters")
    if not all(_COMPONENT.match(part) for part in text.split("/")):
        if text != text.lower() and all(_COMPONENT.match(part) for part in text.lower().split("/")):
            _fail("repository", text, f"write it in lower case: {text.lower()}")
        _fail(
            "repository",
            text,
            "write path components of a-z and 0-9, with single '.', '_', '__' or '-' inside, separated by '/'",
        )
    return text


def check_tag(text: str) -> str:
    """Return `text` if it is a tag (distribution spec, `<reference>`). Raises InvalidValueError."""
    _check_kind("tag", text)
    if not _TAG.match(text):
        _fail("tag", text, "write 1 to 128 characters of A-Z a-z 0-9 _ . - and do not begin with . or -")
    return text


class Reference(NamedTuple):
    """The location of an image: `registry` is `host[:port]`, `repository` a path. A digest takes precedence over a tag.

    The grammar is that of the distribution project (its `reference` package) and of the distribution spec.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str, *, default_registry: str | None = DOCKER_HUB) -> Reference:
        """Parse `text` by Docker's rules: the first part is a registry if it has a dot or a colon or is `localhost`.

        A reference without a registry is in `default_registry`; None requires a registry. `library/` is added to a
        single name on Docker Hub. A missing tag stays missing. Raises InvalidValueError.
        """
        _check_kind("reference", text)
        if not text or text != text.strip():
            _fail("reference", text, "write registry/repository:tag, without surrounding spaces")
        if "://" in text:
            _fail("reference", text.split("@")[-1], f"remove {printable(text.split('://')[0], 20)}://")
        rest, at, digest_text = text.partition("@")
        if "/" in text and "@" in text.split("/")[0]:
            _fail("reference", digest_text.rsplit("@", 1)[-1], "remove the user and password, and log in instead")
        digest = Digest(digest_text) if at else None
        first, slash, path = rest.partition("/")
        if slash and ("." in first or ":" in first or first == "localhost"):
            registry, rest = check_registry(first), path
        elif default_registry is None:
            _fail(
                "reference",
                text,
                f"name the registry, as in registry/repository:tag; the registry of Docker Hub is {DOCKER_HUB}",
            )
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
        """The `<reference>` of a manifest request: the digest, else the tag, else `latest`."""
        return self.digest or self.tag or "latest"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}@{self.digest}" if self.digest else f"{self.name}{tag}"


def _check_kind(kind: str, text: object) -> None:
    if not isinstance(text, str):
        raise InvalidValueError(
            f"{text!r:.200} is not a {kind} but a {type(text).__name__}", hint=f"write the {kind} as a string"
        )


def _fail(kind: str, text: str, hint: str) -> NoReturn:
    raise InvalidValueError(f"invalid {kind} '{printable(text, 300)}'", hint=hint)
