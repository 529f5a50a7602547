"""Image locations: a registry, an OCI layout or an archive, written as skopeo writes them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace

from dockless._files import open_regular
from dockless.errors import InvalidValueError, printable
from dockless.oci.reference import DOCKER_HUB, Reference
from dockless.tar.decompress import detect_format

REGISTRY, OCI, OCI_ARCHIVE, DOCKER_ARCHIVE = "registry", "oci", "oci-archive", "docker-archive"
_ON_DISK = (OCI, OCI_ARCHIVE, DOCKER_ARCHIVE)
_HINT = "write a registry reference, oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-archive:FILE[:REF]"
# How a path on disk may begin, and no reference does.
_PATHS = ("/", "./", "../", "~")
# How the names of archives end. Docker Hub has no official image with such a name.
_ARCHIVES = (".tar", ".tgz", ".tbz2", ".txz", ".tzst", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
# Transports of other tools that are not supported. Without this list, `dir:x` would be a repository on Docker Hub.
_UNSUPPORTED = {
    **dict.fromkeys(("dir", "ostree", "sif", "tarball", "file"), _HINT),
    "docker-daemon": "run `docker save -o FILE IMAGE`, and write docker-archive:FILE",
    **dict.fromkeys(("containers-storage", "podman"), "run `podman save -o FILE IMAGE`, and write docker-archive:FILE"),
    "oci-layout": "write oci:DIR[:TAG]",
}
# A name without a slash that is a registry: localhost, a host with a dot, or an IPv6 address.
_REGISTRY = re.compile(
    r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|\[[0-9A-Fa-f:.]+\])(?::[^/@]*)?(?:@sha256:.*)?\Z"
)


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
        registry belongs to `default_registry`; if that is None, it is an error. The name of an archive, such as
        `hello.tar`, and that of a registry without a repository are errors. Raises InvalidValueError.
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
            raise InvalidValueError(f"unsupported location '{printable(text, 200)}'", hint=_UNSUPPORTED[kind])
        else:
            _refuse_paths(text)
        _refuse_registries(text)
        if default_registry is None and _names_no_registry(text):
            raise InvalidValueError(
                f"invalid reference '{printable(text, 300)}'",
                hint="name the registry, as in registry/repository:tag; the registry of Docker Hub is "
                f"{DOCKER_HUB}; {_disk_hint(text)}",
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
    """Return `location`, parsed if it is text. Raises InvalidValueError, also for the path of an image on disk."""
    if isinstance(location, Location):
        return location
    parsed = Location.parse(_text(location))
    if parsed.reference is not None and _is_image_on_disk(location):
        raise _not_a_reference(location)
    return parsed


def to_destination(location: str | Location) -> Location:
    """Return the same as `to_location`, but require a registry: nothing is sent to Docker Hub by default."""
    return location if isinstance(location, Location) else Location.parse(location, default_registry=None)


def _text(location: object) -> str:
    if not isinstance(location, str):
        raise InvalidValueError(
            f"a location must be text, not {type(location).__name__}: {location!r:.200}", hint=_HINT
        )
    return location


def _names_no_registry(text: str) -> bool:
    name = text.partition("@sha256:")[0]
    if not name or name != name.strip() or "@" in name or "://" in name:
        # Invalid in another way, and maybe with a password.
        return False
    first, slash, _ = name.partition("/")
    return not (slash and ("." in first or ":" in first or first == "localhost"))


def _refuse_paths(text: str) -> None:
    """Raise InvalidValueError for a path, also for the name of an archive, which Docker would look for on its Hub."""
    # An image name may follow the path of an archive.
    path = text.partition(":")[0]
    if text.startswith(_PATHS) or text in (".", ".."):
        raise _not_a_reference(text)
    if _names_no_registry(text) and (path.endswith(_ARCHIVES) or text.endswith(_ARCHIVES)):
        raise _not_a_reference(text)


def _refuse_registries(text: str) -> None:
    """Raise InvalidValueError for a registry alone, which Docker would take for a name and a tag on Docker Hub."""
    if _REGISTRY.match(text):
        registry = printable(text.partition("@")[0], 200)
        raise InvalidValueError(
            f"'{printable(text, 200)}' names a registry, and no repository",
            hint=f"write REGISTRY/REPOSITORY[:TAG]; `dockless repositories {registry}` lists the repositories",
        )


def _not_a_reference(text: str) -> InvalidValueError:
    return InvalidValueError(f"'{printable(text, 200)}' is a path, not a reference", hint=_disk_hint(text))


def _disk_hint(text: str) -> str:
    """Return how the image with the path `text` is written: as one of the kinds that the path can be."""
    shown = printable(text, 200)
    of_archive = f"for an archive of docker save write docker-archive:{shown}, of an OCI layout oci-archive:{shown}"
    of_layout = f"for an OCI layout write oci:{shown}"
    if os.path.isdir(text):
        return of_layout
    if os.path.isfile(text) or text.partition(":")[0].endswith(_ARCHIVES):
        return of_archive
    return f"{of_layout}, {of_archive}"


def _is_image_on_disk(path: str) -> bool:
    """Return whether `path` is an OCI layout or a tar: not any file or directory, which may be called like an image."""
    if os.path.isfile(os.path.join(path, "oci-layout")):
        return True
    try:
        with open_regular(path) as file:
            start = file.read(512)
    except OSError:
        return False
    return start[257:262] == b"ustar" or detect_format(start) != "none"
