"""Replaces the base of an image without a rebuild."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dockless.errors import InvalidValueError
from dockless.mutate.assemble import in_format, make_image
from dockless.oci.history import entries_above, match_layers
from dockless.oci.image_config import EPOCH, ImageConfig
from dockless.oci.image_documents import ImageDocuments

# An image that sets one of these keys decides about both.
_PROGRAM = ("Entrypoint", "Cmd")


def rebase(
    image: ImageDocuments,
    old: ImageDocuments,
    new: ImageDocuments,
    *,
    annotations: Mapping[str, str] | None = None,
) -> ImageDocuments:
    """Return `image` with the layers of its base `old` replaced by those of `new`.

    The config is merged three ways, key by key, and Env by name: a value that `image` shares with `old` becomes that of
    `new`, other values stay. The image keeps its format. Raises InvalidValueError if the lowest layers of `image` are
    not those of `old` (compared by diff ID, so that a recompressed base is the same base), or if `new` is for another
    platform.
    """
    depth = len(old.layers)
    if image.config.diff_ids[:depth] != old.config.diff_ids:
        raise InvalidValueError(
            f"the image {image.manifest.digest} is not based on {old.manifest.digest}",
            cause="its lowest layers are not those of that base",
            hint="name the base that the image was built on",
        )
    if not new.platform.runs_on(image.platform):
        raise InvalidValueError(f"the new base is for {new.platform}, the image for {image.platform}")
    lower = (
        new.layers if new.image_format == image.image_format else [in_format(x, image.image_format) for x in new.layers]
    )
    all_layers = [*lower, *image.layers[depth:]]
    merged = _merged(dict(image.config.document), dict(old.config.document), dict(new.config.document))
    merged["config"] = _merged_config(*(dict(x.config.document.get("config") or {}) for x in (image, old, new)))
    config = ImageConfig({**merged, "rootfs": image.config.document["rootfs"]}).with_rootfs(
        [layer.diff_id for layer in all_layers],
        match_layers(new.config.history, len(new.layers))
        + entries_above(match_layers(image.config.history, len(image.layers)), depth),
        created=image.config.document.get("created") or EPOCH,
    )
    return make_image(
        image.manifest,
        config,
        [layer.descriptor for layer in all_layers],
        image_format=image.image_format,
        annotations=annotations,
    )


def _merged_config(image: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    merged_keys = _merged(image, old, new)
    if any(image.get(key) != old.get(key) for key in _PROGRAM):
        for key in _PROGRAM:
            merged_keys.pop(key, None)
            if key in image:
                merged_keys[key] = image[key]
    env = _merged(*(_by_name(x.get("Env") or ()) for x in (image, old, new)))
    merged_keys.pop("Env", None)
    return {**merged_keys, "Env": list(env.values())} if env else merged_keys


def _by_name(env: Sequence[str]) -> dict[str, Any]:
    return {entry.partition("=")[0]: entry for entry in env}


def _merged(image: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge three ways: the keys of `new` in their order, then those that only `image` has."""
    merged_keys: dict[str, Any] = {}
    for key in (*new, *(key for key in image if key not in new)):
        in_image, in_old, in_new = (x.get(key) for x in (image, old, new))
        if isinstance(in_image, dict) and isinstance(in_new, dict):
            merged_keys[key] = _merged(in_image, in_old if isinstance(in_old, dict) else {}, in_new)
        else:
            chosen = in_new if in_image == in_old else in_image
            if chosen is not None:
                merged_keys[key] = chosen
    return merged_keys
