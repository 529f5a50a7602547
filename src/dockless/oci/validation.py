"""Rules of the image spec for manifests and configs that are not needed to read them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dockless._units import format_count
from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.image_config import is_time
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.platform import Platform

_STRINGS, _TEXT, _SETS = "a list of strings", "a string", "an object of empty objects"
# image spec, config.md, `config`. Tools in Go reject a whole config for one value of the wrong type.
_KINDS = {
    "User": _TEXT,
    "WorkingDir": _TEXT,
    "StopSignal": _TEXT,
    "Env": _STRINGS,
    "Entrypoint": _STRINGS,
    "Cmd": _STRINGS,
    "ExposedPorts": _SETS,
    "Volumes": _SETS,
}
_URL = re.compile(r"https?://[^/@\s]+(?:/\S*)?\Z")


def is_plain_url(url: str) -> bool:
    """Return whether a layer may have this URL: http or https, without user and password."""
    return bool(_URL.match(url))


def find_problems(image: ImageDocuments, listed: Descriptor | None = None) -> Iterator[str]:
    """Yield a line for each broken rule; `listed` is the descriptor of the image in an index."""
    document = image.config.document
    if document["rootfs"].get("type") != "layers":
        yield f"the config's rootfs has the type {document['rootfs'].get('type')!r:.50}, not layers"
    counted = sum(1 for entry in image.config.history if not entry.get("empty_layer"))
    if counted > len(image.layers):
        entries = format_count(counted, "layer")
        yield f"the config's history has entries for {entries}, the image has {len(image.layers)}"
    for where, created in (
        ("the config", document.get("created")),
        *((f"entry {n} of the history", entry.get("created")) for n, entry in enumerate(image.config.history)),
    ):
        if created is not None and not (isinstance(created, str) and is_time(created)):
            yield f"{where} was created at {created!r:.50}, which is not a time (RFC 3339)"
    yield from _config(document.get("config") or {})
    if not _has_its_data(image.manifest.config):
        yield "the config has embedded data that does not match its digest"
    for n, layer in enumerate(image.manifest.layers):
        if not _has_its_data(layer):
            yield f"layer {n} has embedded data that does not match its digest"
        if not media_types.is_layer(layer.media_type):
            yield f"layer {n} has the media type {layer.media_type!r:.100}, which is not that of a layer"
        for url in layer.urls:
            if not is_plain_url(url):
                yield f"layer {n} has the URL {url!r:.100}, which is not a plain http or https URL"
    if listed is not None and listed.platform is not None and not _is_listed_as(image.platform, listed.platform):
        yield f"the index lists the platform {listed.platform}, and the config has {image.platform}"


def _is_listed_as(own: Platform, listed: Platform) -> bool:
    """Return whether an index may list an image as `listed`. Indexes and configs need not name everything."""
    if not (own.is_complete and listed.is_complete):
        return True
    # Many configs for arm/v5 and arm/v6 have no variant.
    variant = own.variant or listed.variant
    return own._replace(variant=variant).matches(listed._replace(os_version=""))


def _config(found: Mapping[str, Any]) -> Iterator[str]:
    for key, kind in _KINDS.items():
        value = found.get(key)
        if value is None:
            continue
        valid = (
            isinstance(value, str)
            if kind == _TEXT
            else isinstance(value, list) and all(item is None or isinstance(item, str) for item in value)
            if kind == _STRINGS
            else isinstance(value, dict) and all(item == {} or item is None for item in value.values())
        )
        if not valid:
            yield f"the config's {key} is not {kind}"
    for entry in found.get("Env") or ():
        if isinstance(entry, str) and entry.startswith("="):
            yield f"the config's Env has the entry {entry!r:.50}, which has no name"


def _has_its_data(descriptor: Descriptor) -> bool:
    """Return whether the `data` of a descriptor, which some readers use instead of the blob, is that of the blob."""
    data = (descriptor.extra or {}).get("data")
    if data is None:
        return True
    try:
        content = base64.b64decode(data, validate=True)
    except (TypeError, ValueError):
        return False
    return len(content) == descriptor.size and Digest.of(content) == descriptor.digest
