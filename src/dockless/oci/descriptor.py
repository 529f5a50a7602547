"""Descriptors: media type, digest and size of a blob (OCI image spec, descriptor.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from dockless.errors import InvalidDocumentError, InvalidValueError, printable
from dockless.oci import media_types
from dockless.oci.digest import Digest
from dockless.oci.platform import Platform

# Go's int64, the type of `size` in other tools. A larger value is an error or an attack (oras GHSA-f36w-mj3v-6jqv).
_MAX_SIZE = 2**63 - 1
# descriptor.md, "Digests": the grammar of digests of any algorithm.
_ANY_DIGEST = re.compile(r"(?P<algorithm>[a-z0-9]+(?:[.+_-][a-z0-9]+)*):[A-Za-z0-9=_-]+\Z")
_MAX_DIGEST = 255


class Descriptor(NamedTuple):
    """The media type, digest and size of a blob, with optional properties (image spec, descriptor.md).

    `size` is in bytes. `extra` holds the keys that have no field here.
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
    def from_json(cls, value: Any, label: str) -> Descriptor:
        """Parse a descriptor of a JSON document. Raises InvalidDocumentError, which names the descriptor `label`."""
        if not isinstance(value, dict):
            raise InvalidDocumentError(f"{label} is not an object")
        rest = dict(value)
        media_type = rest.pop("mediaType", None)
        digest = rest.pop("digest", None)
        size = rest.pop("size", None)
        urls = rest.pop("urls", None) or []
        annotations = rest.pop("annotations", None)
        platform = rest.pop("platform", None)
        artifact_type = rest.pop("artifactType", None) or ""
        if not isinstance(media_type, str) or not media_type:
            raise InvalidDocumentError(f"{label} has no mediaType")
        if not isinstance(digest, str):
            raise InvalidDocumentError(f"{label} has no digest")
        if UnsupportedEntry.from_json({"digest": digest}, label):
            raise InvalidDocumentError(
                f"{label} has the digest {printable(digest, 150)}", cause="only sha256 digests are supported"
            )
        try:
            digest = Digest(digest)
        except InvalidValueError as error:
            raise InvalidDocumentError(f"{label} has an invalid digest", cause=str(error)) from None
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
            raise InvalidDocumentError(f"{label} has an invalid size", cause=f"the size is {size!r:.50}")
        if not isinstance(urls, list) or not all(isinstance(url, str) for url in without_nulls(urls)):
            raise InvalidDocumentError(f"{label} has `urls` that are not a list of strings")
        if not isinstance(artifact_type, str):
            raise InvalidDocumentError(f"{label} has an artifactType that is not a string")
        named = Platform.from_json(platform, label) if platform is not None else None
        # Platform has no field for keys such as `os.features`: the object is kept in `extra` as it was read.
        if named is not None and platform != named.to_json():
            rest["platform"] = platform
        return cls(
            media_type=media_type,
            digest=digest,
            size=size,
            urls=tuple(without_nulls(urls)),
            annotations=string_map(annotations, f"{label}: annotations") if annotations is not None else None,
            platform=named,
            artifact_type=artifact_type,
            extra=rest or None,
        )

    @property
    def is_foreign(self) -> bool:
        """Whether this is a layer that a registry need not have, because `urls` says where to download it."""
        return bool(self.urls) and media_types.is_foreign(self.media_type)

    def to_json(self) -> dict[str, Any]:
        """Return the descriptor as an object of a JSON document."""
        value: dict[str, Any] = {"mediaType": self.media_type, "digest": str(self.digest), "size": self.size}
        if self.urls:
            value["urls"] = list(self.urls)
        if self.annotations is not None:
            value["annotations"] = dict(self.annotations)
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        extra = dict(self.extra or {})
        platform = {**(extra.pop("platform", None) or {}), **(self.platform.to_json() if self.platform else {})}
        if platform:
            value["platform"] = platform
        return {**value, **extra}


class UnsupportedEntry(NamedTuple):
    """An entry of an index whose digest has an algorithm that Dockless does not support, such as sha512."""

    digest: str
    annotations: Mapping[str, str]

    @classmethod
    def from_json(cls, value: Any, label: str) -> UnsupportedEntry | None:
        """Return the entry; None if its digest is supported or invalid. Raises InvalidDocumentError."""
        digest = value.get("digest") if isinstance(value, dict) else None
        found = _ANY_DIGEST.match(digest) if isinstance(digest, str) and len(digest) <= _MAX_DIGEST else None
        if digest is None or found is None or found["algorithm"] == "sha256":
            return None
        return cls(digest, string_map(value.get("annotations") or {}, f"{label}: annotations"))


def without_nulls(items: list[Any]) -> list[Any]:
    """Return the items of a JSON list that are not null."""
    return [item for item in items if item is not None]


def string_map(value: Any, label: str) -> dict[str, str]:
    """Return `value` if it maps strings to strings; null is an empty string, as for readers in Go.

    Raises InvalidDocumentError, which names the value `label`.
    """
    if not isinstance(value, dict) or not all(item is None or isinstance(item, str) for item in value.values()):
        raise InvalidDocumentError(f"{label} is not a map of strings")
    return {key: item or "" for key, item in value.items()}
