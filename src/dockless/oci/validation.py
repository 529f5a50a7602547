"""The image spec's rules for an image's documents, beyond what must hold to read them at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dockless.oci import media_types
from dockless.oci.descriptor import Descriptor
from dockless.oci.image_config import is_time
from dockless.oci.image_documents import ImageDocuments

_STRINGS, _TEXT, _SETS = "a list of strings", "a string", "an object of empty objects"
# image spec, config.md, `config`. Go's tools give up on a whole config for one value of another kind.
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
    """Whether a layer may name it: http or https, and no user or password in it."""
    return bool(_URL.match(url))


def broken_rules(image: ImageDocuments, listed: Descriptor | None = None) -> Iterator[str]:
    """What is wrong with `image`, a line each; `listed` is what an index says of it."""
    document = image.config.document
    if document["rootfs"].get("type") != "layers":
        yield f"the config's rootfs is of the type {document['rootfs'].get('type')!r:.50}, not layers"
    told = sum(1 for entry in image.config.history if not entry.get("empty_layer"))
    if told > len(image.layers):
        yield f"the config's history tells of {told} layers, the image has {len(image.layers)}"
    for where, created in (
        ("the config", document.get("created")),
        *((f"entry {n} of the history", entry.get("created")) for n, entry in enumerate(image.config.history)),
    ):
        if created is not None and not (isinstance(created, str) and is_time(created)):
            yield f"{where} was created at {created!r:.50}, which is no time (RFC 3339)"
    yield from _config(document.get("config") or {})
    for n, layer in enumerate(image.manifest.layers):
        if not _is_layer(layer.media_type):
            yield f"layer {n} is of the type {layer.media_type!r:.100}, which is no layer's"
        for url in layer.urls:
            if not is_plain_url(url):
                yield f"layer {n} has the url {url!r:.100}, which is no plain http or https one"
    if (
        listed is not None
        and listed.platform is not None
        and not image.platform.matches(listed.platform._replace(os_version=""))
    ):
        yield f"the index lists it for {listed.platform}, its config says {image.platform}"


def _config(found: Mapping[str, Any]) -> Iterator[str]:
    for key, kind in _KINDS.items():
        value = found.get(key)
        if value is None:
            continue
        right = (
            isinstance(value, str)
            if kind == _TEXT
            else isinstance(value, list) and all(isinstance(item, str) for item in value)
            if kind == _STRINGS
            else isinstance(value, dict) and all(item == {} or item is None for item in value.values())
        )
        if not right:
            yield f"the config's {key} is not {kind}"
    for entry in found.get("Env") or ():
        if isinstance(entry, str) and entry.startswith("="):
            yield f"the config's Env has the entry {entry!r:.50}, which has no name"


def _is_layer(media_type: str) -> bool:
    # Encrypted layers and those of newer compressions have a suffix that older lists lack.
    return media_type.startswith((media_types.OCI_LAYER, media_types.DOCKER_LAYER)) or media_types.is_foreign(
        media_type
    )
