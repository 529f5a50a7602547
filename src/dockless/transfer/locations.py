"""Where an image is: a registry, an OCI layout or an archive, written as skopeo writes it."""

from __future__ import annotations

from typing import NamedTuple

from dockless.errors import InvalidValueError, printable
from dockless.oci.reference import DOCKER_HUB, Reference

REGISTRY, OCI, OCI_ARCHIVE, DOCKER_ARCHIVE = "registry", "oci", "oci-archive", "docker-archive"
_ON_DISK = (OCI, OCI_ARCHIVE, DOCKER_ARCHIVE)
_HINT = "write a registry reference, oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REF]"
# Transports of skopeo's that are none of ours, so that `dir:x` is not taken for a repository on Docker Hub.
_NOT_OURS = frozenset(("dir", "docker-daemon", "containers-storage", "ostree", "sif", "tarball"))


class Location(NamedTuple):
    """On disk, `path` is the folder or file and `name` the image in it; in a registry, `reference` says it all."""

    kind: str
    path: str = ""
    name: str = ""
    reference: Reference | None = None

    @classmethod
    def parse(cls, text: str, *, default_registry: str | None = DOCKER_HUB) -> Location:
        """`ghcr.io/acme/app:1`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]`, `docker-archive:FILE[:REF]`.

        As for skopeo, a path on disk holds no colon: what follows one is the image's name. A reference that names no
        registry is one of `default_registry`'s; with None there that is an error. Raises InvalidValueError.
        """
        kind, colon, rest = text.partition(":")
        if colon and kind in _ON_DISK:
            path, _, name = rest.partition(":")
            if not path or "\0" in rest:
                raise InvalidValueError(f"{printable(text, 200)!r} names no path", hint=_HINT)
            if kind == DOCKER_ARCHIVE and name:
                Reference.parse(name)
            return cls(kind, path, name)
        if text.startswith("docker://"):
            text = text[len("docker://") :]
        elif colon and kind in _NOT_OURS:
            raise InvalidValueError(f"{printable(text, 200)!r} is no place that Dockless knows", hint=_HINT)
        return cls(REGISTRY, reference=Reference.parse(text, default_registry=default_registry))

    @property
    def registry_reference(self) -> Reference:
        """The reference of a place that is a registry."""
        assert self.reference is not None
        return self.reference

    def named(self, name: str) -> str:
        """How the image called `name` at this place is written."""
        if self.reference is not None:
            return str(self.reference._replace(tag=name, digest=None))
        return f"{self.kind}:{self.path}:{name}" if name else f"{self.kind}:{self.path}"

    def __str__(self) -> str:
        return str(self.reference) if self.reference is not None else self.named(self.name)


def to_location(where: str | Location) -> Location:
    """`where`, read if it is text. Raises InvalidValueError."""
    return where if isinstance(where, Location) else Location.parse(_text(where))


def to_destination(where: str | Location) -> Location:
    """As `to_location`; but nothing is sent to Docker Hub unless it is named. Raises InvalidValueError."""
    return where if isinstance(where, Location) else Location.parse(_text(where), default_registry=None)


def _text(where: object) -> str:
    if not isinstance(where, str):
        raise InvalidValueError(f"{where!r:.200} is no place, but a {type(where).__name__}", hint=_HINT)
    return where
