"""Descriptors: media type, digest and size of a blob (OCI image spec, descriptor.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from dockless.errors import InvalidDocumentError, InvalidValueError
from dockless.oci import media_types
from dockless.oci.digest import Digest
from dockless.oci.platform import Platform

# Go's int64, the type of `size` in every other tool. A larger one is an attack or an error (oras GHSA-f36w-mj3v-6jqv).
_MAX_SIZE = 2**63 - 1


class Descriptor(NamedTuple):
    """What a manifest or an index says of one blob (image spec, descriptor.md).

    `size` is in bytes; `extra` holds keys that are not named here.
    """

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] | None = None
    platform: Platform | None = None
    artifact_type: str = ""
    extra: Mapping[str, Any] | None = None

    @classmethod
    def from_json(cls, found: Any, what: str) -> Descriptor:
        """A descriptor as it stands in a document. Raises InvalidDocumentError, which names it `what`."""
        if not isinstance(found, dict):
            raise InvalidDocumentError(f"{what} is not an object")
        rest = dict(found)
        media_type = rest.pop("mediaType", None)
        digest = rest.pop("digest", None)
        size = rest.pop("size", None)
        urls = rest.pop("urls", None) or []
        annotations = rest.pop("annotations", None)
        platform = rest.pop("platform", None)
        artifact_type = rest.pop("artifactType", None) or ""
        if not isinstance(media_type, str) or not media_type:
            raise InvalidDocumentError(f"{what} has no mediaType")
        if not isinstance(digest, str):
            raise InvalidDocumentError(f"{what} has no digest")
        try:
            digest = Digest(digest)
        except InvalidValueError as error:
            raise InvalidDocumentError(f"{what} has no usable digest", cause=str(error)) from None
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
            raise InvalidDocumentError(f"{what} has no usable size", cause=f"found {size!r:.50}")
        if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
            raise InvalidDocumentError(f"{what} has urls that are not a list of strings")
        if not isinstance(artifact_type, str):
            raise InvalidDocumentError(f"{what} has an artifactType that is not a string")
        named = Platform.from_json(platform, what) if platform is not None else None
        # `os.features` and the like have no place in Platform: then the object is kept beside it, as it was read.
        if named is not None and platform != named.to_json():
            rest["platform"] = platform
        return cls(
            media_type=media_type,
            digest=digest,
            size=size,
            urls=tuple(urls),
            annotations=string_map(annotations, f"{what}: annotations") if annotations is not None else None,
            platform=named,
            artifact_type=artifact_type,
            extra=rest or None,
        )

    @property
    def is_foreign(self) -> bool:
        """Whether it is a layer that a registry need not hold, because its urls say where it is."""
        return bool(self.urls) and media_types.is_foreign(self.media_type)

    def to_json(self) -> dict[str, Any]:
        """As it stands in a document."""
        found: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.urls:
            found["urls"] = list(self.urls)
        if self.annotations is not None:
            found["annotations"] = dict(self.annotations)
        if self.artifact_type:
            found["artifactType"] = self.artifact_type
        extra = dict(self.extra or {})
        platform = {**(extra.pop("platform", None) or {}), **(self.platform.to_json() if self.platform else {})}
        if platform:
            found["platform"] = platform
        return {**found, **extra}


def string_map(found: Any, what: str) -> dict[str, str]:
    """`found` if it maps strings to strings, else InvalidDocumentError."""
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise InvalidDocumentError(f"{what} is not a map of strings")
    return found
