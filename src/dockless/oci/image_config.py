"""Image configs: what a runtime reads besides the layers (OCI image spec, config.md).

A config keeps its JSON document, so that keys which have no name here survive every edit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from dockless.errors import InvalidDocumentError, InvalidValueError
from dockless.oci.canonical_json import parse_document, write_document
from dockless.oci.descriptor import string_map, without_nulls
from dockless.oci.digest import Digest
from dockless.oci.platform import Platform

# Part of image bytes: the one creation time of all that Dockless makes, since the clock is not an input.
EPOCH = "1970-01-01T00:00:00Z"
# Part of image bytes.
CREATED_BY = "dockless"
# PATH in a container if the config does not set PATH, as in runc. Part of the bytes of images with Python layers.
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Layers, and entries of the history, which may describe instructions without a layer.
_MAX_ENTRIES = 10_000
# The features become a part of each index that lists the image.
_MAX_FEATURES = 4096

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])\Z"
)


class ImageConfig(NamedTuple):
    """An image config. `document` must not be changed in place: every edit returns a new value."""

    document: Mapping[str, Any]

    @classmethod
    def scratch(cls, platform: Platform) -> ImageConfig:
        """Return the config of an image without layers."""
        document: dict[str, Any] = {"architecture": platform.architecture, "os": platform.os}
        if platform.variant:
            document["variant"] = platform.variant
        if platform.os_version:
            document["os.version"] = platform.os_version
        return cls(
            {
                **document,
                "config": {},
                "created": EPOCH,
                "history": [],
                "rootfs": {"diff_ids": [], "type": "layers"},
            }
        )

    @classmethod
    def from_bytes(cls, raw: bytes, label: str) -> ImageConfig:
        """Parse a config and check the keys that Dockless uses. Raises InvalidDocumentError, which names it `label`.

        Null is read as by readers in Go: as an absent list or object, an empty string, or an empty entry.
        """
        document = _with_values(parse_document(raw, label))
        rootfs = document["rootfs"]
        if not isinstance(rootfs, dict) or not isinstance(rootfs.get("diff_ids"), list):
            raise InvalidDocumentError(f"{label} has no rootfs.diff_ids", cause="the document is not an image config")
        for key, items in (("diff IDs", rootfs["diff_ids"]), ("entries in its history", document.get("history"))):
            if isinstance(items, list) and len(items) > _MAX_ENTRIES:
                raise InvalidDocumentError(f"{label} has {len(items)} {key}", cause=f"the limit is {_MAX_ENTRIES}")
        for diff_id in rootfs["diff_ids"]:
            if not isinstance(diff_id, str):
                raise InvalidDocumentError(f"{label} has a diff ID that is not a string")
            try:
                Digest(diff_id)
            except InvalidValueError as error:
                raise InvalidDocumentError(f"{label} has an invalid diff ID", cause=str(error)) from None
        # OS and architecture may be missing: signatures, buildpacks and other artifacts have neither.
        Platform.from_json(document, label)
        features = document.get("os.features")
        if features is not None and not (
            isinstance(features, list)
            and all(isinstance(item, str) for item in features)
            and len(features) + sum(map(len, features)) <= _MAX_FEATURES
        ):
            raise InvalidDocumentError(
                f"{label} has os.features that are not a list of strings with at most {_MAX_FEATURES} characters"
            )
        inner = document.get("config")
        if inner is not None and not isinstance(inner, dict):
            raise InvalidDocumentError(f"{label} has a config that is not an object")
        env = (inner or {}).get("Env")
        if env is not None and not (isinstance(env, list) and all(isinstance(entry, str) for entry in env)):
            raise InvalidDocumentError(f"{label} has an Env that is not a list of strings")
        if (inner or {}).get("Labels") is not None:
            string_map((inner or {})["Labels"], f"{label}: Labels")
        history = document.get("history")
        if history is not None and not (isinstance(history, list) and all(isinstance(h, dict) for h in history)):
            raise InvalidDocumentError(f"{label} has a history that is not a list of objects")
        return cls(document)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return write_document(dict(self.document))

    @property
    def platform(self) -> Platform:
        """The platform that the image is for. OS and architecture are empty if the config does not name them."""
        return Platform.from_json(dict(self.document), "config")

    def with_platform(self, platform: Platform) -> ImageConfig:
        """Return the config with the keys of `platform` that its own platform has not."""
        missing = {key: value for key, value in platform.to_json().items() if not self.document.get(key)}
        return ImageConfig({**self.document, **missing}) if missing else self

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        """The diff IDs of the layers, the lowest first."""
        return tuple(Digest(diff_id) for diff_id in self.document["rootfs"]["diff_ids"])

    @property
    def env(self) -> dict[str, str]:
        """The environment, in its order. An entry without `=` has the empty value, as in runc."""
        entries = (self.document.get("config") or {}).get("Env") or []
        return {entry.partition("=")[0]: entry.partition("=")[2] for entry in entries}

    @property
    def history(self) -> tuple[Mapping[str, Any], ...]:
        """The entries as written, including `empty_layer` entries; they may be fewer or more than the layers."""
        return tuple(self.document.get("history") or ())

    def with_rootfs(
        self, diff_ids: Sequence[Digest], history: Sequence[Mapping[str, Any]], *, created: str = EPOCH
    ) -> ImageConfig:
        """Return the config with other layers, lowest first, and their history, created at `created`."""
        rootfs = {**self.document["rootfs"], "type": "layers", "diff_ids": [str(diff_id) for diff_id in diff_ids]}
        return ImageConfig({**self.document, "rootfs": rootfs, "history": list(history), "created": created})


def _with_values(document: dict[str, Any]) -> dict[str, Any]:
    """Return a config with a value for each null in its lists and objects that Dockless reads."""
    rootfs = document.get("rootfs")
    if rootfs is None:
        document["rootfs"] = {"type": "layers", "diff_ids": []}
    elif isinstance(rootfs, dict) and rootfs.get("diff_ids") is None:
        document["rootfs"] = {**rootfs, "diff_ids": []}
    if isinstance(document.get("history"), list):
        document["history"] = [{} if entry is None else entry for entry in document["history"]]
    if isinstance(document.get("os.features"), list):
        document["os.features"] = without_nulls(document["os.features"])
    inner = document.get("config")
    if isinstance(inner, dict):
        if isinstance(inner.get("Env"), list):
            # An empty entry sets no variable, and runtimes reject it.
            inner["Env"] = without_nulls(inner["Env"])
        if isinstance(inner.get("Labels"), dict):
            inner["Labels"] = {name: "" if value is None else value for name, value in inner["Labels"].items()}
    return document


def is_time(text: str) -> bool:
    """Return whether `text` is a time in the format of RFC 3339, section 5.6."""
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return bool(_TIME.match(text))
