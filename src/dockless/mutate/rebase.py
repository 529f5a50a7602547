"""An image on another base, without building it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dockless.errors import InvalidValueError
from dockless.mutate.assemble import in_format, put_together
from dockless.oci.history import above, in_step
from dockless.oci.image_config import ImageConfig
from dockless.oci.image_documents import ImageDocuments

# Written for each other: an image that sets one of them has decided on both.
_PROGRAM = ("Entrypoint", "Cmd")


def rebase(
    image: ImageDocuments,
    old: ImageDocuments,
    new: ImageDocuments,
    *,
    annotations: Mapping[str, str] | None = None,
) -> ImageDocuments:
    """`image` with the layers of its base `old` replaced by those of `new`.

    The config is merged three ways, key by key, Env by name: what `image` has as `old` has it follows `new`, what it
    set itself stays. The image keeps its format. Raises InvalidValueError when the lowest layers of `image` are not
    those
    of `old` (by what is inside, so that a recompressed base is still the same), or `new` is for another platform.
    """
    depth = len(old.layers)
    if image.config.diff_ids[:depth] != old.config.diff_ids:
        raise InvalidValueError(
            f"the image {image.manifest.digest} does not stand on {old.manifest.digest}",
            cause="its lowest layers are not that base's",
            hint="name the base it was built on",
        )
    if not new.platform.matches(image.platform):
        raise InvalidValueError(f"the new base is for {new.platform}, the image for {image.platform}")
    lower = (
        new.layers if new.image_format == image.image_format else [in_format(x, image.image_format) for x in new.layers]
    )
    every = [*lower, *image.layers[depth:]]
    merged = _merged(dict(image.config.document), dict(old.config.document), dict(new.config.document))
    merged["config"] = _merged_config(*(dict(x.config.document.get("config") or {}) for x in (image, old, new)))
    config = ImageConfig({**merged, "rootfs": image.config.document["rootfs"]}).with_rootfs(
        [layer.diff_id for layer in every],
        in_step(new.config.history, len(new.layers)) + above(in_step(image.config.history, len(image.layers)), depth),
        created=image.config.document.get("created") or "",
    )
    return put_together(
        image.manifest,
        config,
        [layer.descriptor for layer in every],
        image_format=image.image_format,
        annotations=annotations,
    )


def _merged_config(image: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    found = _merged(image, old, new)
    if any(image.get(key) != old.get(key) for key in _PROGRAM):
        for key in _PROGRAM:
            found.pop(key, None)
            if key in image:
                found[key] = image[key]
    env = _merged(*(_by_name(x.get("Env") or ()) for x in (image, old, new)))
    found.pop("Env", None)
    return {**found, "Env": list(env.values())} if env else found


def _by_name(env: Sequence[str]) -> dict[str, Any]:
    return {entry.partition("=")[0]: entry for entry in env}


def _merged(image: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`new` first, in its order, then what `image` alone has."""
    found: dict[str, Any] = {}
    for key in (*new, *(key for key in image if key not in new)):
        mine, before, now = (x.get(key) for x in (image, old, new))
        if isinstance(mine, dict) and isinstance(now, dict):
            found[key] = _merged(mine, before if isinstance(before, dict) else {}, now)
        else:
            chosen = now if mine == before else mine
            if chosen is not None:
                found[key] = chosen
    return found
