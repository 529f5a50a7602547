"""Image locations: a registry, an OCI layout or an archive, written as skopeo writes them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from dockless.errors import InvalidValueError, printable
from dockless.oci.reference import DOCKER_HUB, Reference

REGISTRY, OCI, OCI_ARCHIVE, DOCKER_ARCHIVE = "registry", "oci", "oci-archive", "docker-archive"
_ON_DISK = (OCI, OCI_ARCHIVE, DOCKER_ARCHIVE)
_HINT = "write a registry reference, oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REF]"
# How a path on disk may begin, and no reference does.
_PATHS = ("/", "./", "../", "~")
# Transports of skopeo that are not supported. Without this list, `dir:x` would be a repository on Docker Hub.
_UNSUPPORTED = frozenset(("dir", "docker-daemon", "containers-storage", "ostree", "sif", "tarball"))


@dataclass(frozen=True)
class Location:
    """The location of an image.

    kind       `registry`, `oci`, `oci-archive` or `docker-archive`
    path       the directory or file on disk
    name       the name of the image in that directory or file; "" if it has none
    reference  the reference in a registry; None on disk
    """

    kind: str
    path: str = ""
    name: str = ""
    reference: Reference | None = None

    @classmethod
    def parse(cls, text: str, *, default_registry: str | None = DOCKER_HUB) -> Location:
        """Parse `ghcr.io/acme/app:1`, `oci:DIR[:TAG]`, `oci-archive:FILE[:TAG]` or `docker-archive:FILE[:REF]`.

        As in skopeo, a path on disk has no colon: the image's name follows the first one. A reference without a
        registry belongs to `default_registry`; if that is None, it is an error. Raises InvalidValueError.
        """
        kind, colon, rest = _text(text).partition(":")
        if colon and kind in _ON_DISK:
            path, _, name = rest.partition(":")
            if not path or "\0" in rest:
                raise InvalidValueError(f"'{printable(text, 200)}' has no valid path", hint=_HINT)
            if kind == DOCKER_ARCHIVE and name:
                Reference.parse(name)
            return cls(kind, path, name)
        if text.startswith("docker://"):
            text = text[len("docker://") :]
        elif colon and kind in _UNSUPPORTED:
            raise InvalidValueError(f"unsupported location '{printable(text, 200)}'", hint=_HINT)
        elif text.startswith(_PATHS) or text in (".", ".."):
            raise InvalidValueError(
                f"'{printable(text, 200)}' is not a reference",
                hint=f"for a directory on disk write oci:{printable(text, 200)}, for a file "
                f"oci-archive:{printable(text, 200)}",
            )
        return cls(REGISTRY, reference=Reference.parse(text, default_registry=default_registry))

    @property
    def registry_reference(self) -> Reference:
        """The reference of a location that is in a registry."""
        assert self.reference is not None
        return self.reference

    def named(self, name: str) -> str:
        """Return the text for the image called `name` at this location."""
        if self.reference is not None:
            return str(Reference(self.reference.registry, self.reference.repository, name))
        return str(replace(self, name=name))

    def __str__(self) -> str:
        if self.reference is not None:
            return str(self.reference)
        return f"{self.kind}:{self.path}:{self.name}" if self.name else f"{self.kind}:{self.path}"


def check_path(path: str | os.PathLike[str], label: str = "the path") -> str:
    """Return a path on disk as text. Raises InvalidValueError for a value of another type, and for a NUL byte."""
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise InvalidValueError(f"{label} is {path!r:.200}, which is not a path on disk", hint="write a path as text")
    return text


def to_location(location: str | Location) -> Location:
    """Return `location`, parsed if it is text. Raises InvalidValueError."""
    return location if isinstance(location, Location) else Location.parse(location)


def to_destination(location: str | Location) -> Location:
    """Return the same as `to_location`, but require a registry: nothing is sent to Docker Hub by default."""
    return location if isinstance(location, Location) else Location.parse(location, default_registry=None)


def _text(location: object) -> str:
    if not isinstance(location, str):
        raise InvalidValueError(
            f"a location must be text, not {type(location).__name__}: {location!r:.200}", hint=_HINT
        )
    return location
