"""From a base, layers and a config to an image. No layer's bytes are needed: descriptors and diff ids say it all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dockless.errors import InvalidValueError
from dockless.mutate.config_edit import ConfigEdit, check_text, edit_config
from dockless.oci import media_types
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.history import in_step, layer_entry, without
from dockless.oci.image_config import EPOCH, ImageConfig
from dockless.oci.image_documents import ImageDocuments, ImageLayer
from dockless.oci.manifest import Manifest, make_manifest
from dockless.oci.platform import DEFAULT_PLATFORM, Platform


def assemble_image(
    platform: Platform | None,
    layers: Iterable[ImageLayer],
    edit: ConfigEdit,
    *,
    base: ImageDocuments | None = None,
    image_format: str | None = None,
    remove_layers: Sequence[str] = (),
    annotations: Mapping[str, str] | None = None,
) -> ImageDocuments:
    """`base` with `remove_layers` taken out, `layers` (lowest first) put on top and `edit` done to its config.

    With no base the image is from scratch, for `platform` (None: linux/amd64). With one, its documents are kept key by
    key where nothing here changes them, `platform` must be the base's (None: whichever it is), and an image that
    nothing changes is the base itself, to the byte. `image_format` is `oci` or `docker` (None: as the base, else
    `oci`): all layers get media types of that family. `remove_layers` are digests, of blobs or of what is inside;
    every layer of that digest goes, with its history. `annotations` are merged by name into the manifest's.

    Raises InvalidValueError: a rule broken in `edit`, a layer to remove that the base does not have, a platform that is
    not
    the base's, a layer media type that has no counterpart in `image_format`.
    """
    own = tuple(layers)
    if image_format not in (None, *media_types.FORMATS):
        raise InvalidValueError(f"unknown image format {image_format!r}", hint="write oci or docker")
    if base is None:
        target = image_format or "oci"
        lower: tuple[ImageLayer, ...] = ()
        config = ImageConfig.scratch(platform or DEFAULT_PLATFORM)
    else:
        if platform is not None and not base.platform.matches(platform):
            raise InvalidValueError(f"the base is for {base.platform}, not for {platform}")
        target = image_format or base.image_format
        if not (own or remove_layers or annotations or any(part is not None for part in edit)) and (
            target == base.image_format
        ):
            return base
        lower, config = base.layers, base.config
    removed = _offsets(lower, remove_layers)
    kept = [layer for offset, layer in enumerate(lower) if offset not in removed]
    created = edit.created or EPOCH
    history = without(in_step(config.history, len(lower)), removed)
    history += [layer_entry(created, layer.created_by) for layer in own]
    if base is not None and target != base.image_format:
        kept = [in_format(layer, target) for layer in kept]
    every = [*kept, *(in_format(layer, target) for layer in own)]
    rooted = config.with_rootfs([layer.diff_id for layer in every], history, created=created)
    return put_together(
        base.manifest if base else None,
        edit_config(rooted, edit),
        [layer.descriptor for layer in every],
        image_format=target,
        annotations=annotations,
    )


def replace_layer(image: ImageDocuments, digest: str, layer: ImageLayer) -> ImageDocuments:
    """`image` with `layer` in the place of the one of that digest (of the blob, or of what is inside).

    Raises InvalidValueError when there is none, or more than one.
    """
    (offset, *others) = sorted(_offsets(image.layers, [digest]))
    if others:
        raise InvalidValueError(
            f"the layer {digest} stands {len(others) + 1} times", hint="remove it and add the new one"
        )
    layers = [*image.layers]
    layers[offset] = in_format(layer, image.image_format)
    history = list(in_step(image.config.history, len(layers)))
    at = [n for n, entry in enumerate(history) if not entry.get("empty_layer")][offset]
    history[at] = layer_entry(EPOCH, layer.created_by)
    return put_together(
        image.manifest,
        image.config.with_rootfs([layer.diff_id for layer in layers], history),
        [layer.descriptor for layer in layers],
        image_format=image.image_format,
        annotations=None,
    )


def in_format(layer: ImageLayer, image_format: str) -> ImageLayer:
    """`layer` with the media type that it has in an image of that format.

    Raises InvalidValueError where there is none.
    """
    media_type = media_types.layer_in_format(layer.descriptor.media_type, image_format)
    return layer._replace(descriptor=layer.descriptor._replace(media_type=media_type))


def check_annotations(annotations: Mapping[str, str] | None) -> None:
    """Raises InvalidValueError for what is no map of texts (image spec, annotations.md)."""
    if annotations is None:
        return
    if not isinstance(annotations, Mapping) or not all(
        isinstance(x, str) for x in (*annotations, *annotations.values())
    ):
        raise InvalidValueError("the annotations are no mapping of text to text", hint='write {"name": "value"}')
    for name, value in annotations.items():
        if not name:
            raise InvalidValueError("an annotation's key is empty", hint="write NAME: value")
        check_text(name, "an annotation's key")
        check_text(value, f"the annotation {name}")


def put_together(
    start: Manifest | None,
    config: ImageConfig,
    layers: Sequence[Descriptor],
    *,
    image_format: str,
    annotations: Mapping[str, str] | None,
) -> ImageDocuments:
    """The image of `config` and `layers`; other keys of its manifest are those of `start`."""
    config_bytes = config.to_bytes()
    _check_size("config", config_bytes, "labels and env")
    check_annotations(annotations)
    document = start.json if start else {}
    # A subject says what this manifest is attached to: that holds of the base, not of what is made of it.
    document.pop("subject", None)
    manifest = make_manifest(
        Descriptor(media_types.CONFIGS[image_format], Digest.of(config_bytes), len(config_bytes)),
        layers,
        image_format=image_format,
        annotations=annotations,
        start=document,
    )
    _check_size("manifest", manifest.raw, "annotations")
    return ImageDocuments(manifest, config, config_bytes)


def _check_size(what: str, raw: bytes, large: str) -> None:
    if len(raw) > DEFAULT_LIMIT:
        raise InvalidValueError(
            f"the image's {what} would have {len(raw)} bytes",
            cause=f"registries and runtimes take at most {DEFAULT_LIMIT}",
            hint=f"shorten its {large}",
        )


def _offsets(layers: Sequence[ImageLayer], digests: Sequence[str]) -> set[int]:
    found: set[int] = set()
    for digest in map(Digest, digests):
        there = {n for n, layer in enumerate(layers) if digest in (layer.descriptor.digest, layer.diff_id)}
        if not there:
            listed = ", ".join(str(layer.descriptor.digest) for layer in layers) or "none"
            raise InvalidValueError(f"no layer {digest} to remove", cause=f"the layers are {listed}")
        found |= there
    return found
