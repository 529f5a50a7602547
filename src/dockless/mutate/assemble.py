"""Assembles an image from a base, layers and a config edit. Only descriptors and diff IDs of layers are needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dockless.errors import InvalidValueError, printable
from dockless.mutate.config_edit import ConfigEdit, check_text, edit_config
from dockless.oci import media_types
from dockless.oci.canonical_json import DEFAULT_LIMIT
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest
from dockless.oci.history import layer_entry, match_layers, without
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
    """Return `base` without `remove_layers`, with `layers` (lowest first) on top and `edit` applied to its config.

    Without a base the image is made from scratch for `platform` (None: linux/amd64). With a base, keys of its documents
    that nothing here changes are kept, `platform` must be the base's (None: any), and without a change the result is
    the base, byte for byte. If the config of the base names no OS or architecture, the image gets that of `platform`,
    else of linux/amd64. `image_format` is `oci` or `docker` (None: that of the base, else `oci`) and decides the
    media types of all layers. `remove_layers` are digests or diff IDs; every layer with one of them is removed, with
    its history entry. `annotations` are merged by name into those of the manifest. The operating system of
    `layers` is not checked: see `refuse_windows`.

    Raises InvalidValueError: a rule broken in `edit`, a layer to remove that the base does not have, a platform that is
    not the base's, a layer media type that has no counterpart in `image_format`.
    """
    new_layers = tuple(layers)
    if image_format not in (None, *media_types.FORMATS):
        raise InvalidValueError(f"unknown image format {image_format!r}", hint="write oci or docker")
    if base is None:
        target = image_format or "oci"
        lower: tuple[ImageLayer, ...] = ()
        config = ImageConfig.scratch(platform or DEFAULT_PLATFORM)
        if is_windows(config.platform):
            raise InvalidValueError(
                "cannot make an image for Windows without a base",
                cause="the lowest layers of an image for Windows have the files of Windows",
                hint="name a base for Windows",
                field="platform",
            )
    else:
        if platform is not None and not base.platform.runs_on(platform):
            raise InvalidValueError(f"the base is for {base.platform}, not for {platform}")
        target = image_format or base.image_format
        if not (new_layers or remove_layers or annotations or any(part is not None for part in edit)) and (
            target == base.image_format
        ):
            return base
        lower, config = base.layers, base.config.with_platform(base.platform.filled(platform or DEFAULT_PLATFORM))
    try:
        removed = _offsets(lower, remove_layers)
    except InvalidValueError as error:
        raise InvalidValueError(error.problem, cause=error.cause, hint=error.hint, field="remove_layers") from None
    kept = [layer for offset, layer in enumerate(lower) if offset not in removed]
    created = edit.created or EPOCH
    history = without(match_layers(config.history, len(lower)), removed)
    history += [layer_entry(created, layer.created_by) for layer in new_layers]
    if base is not None and target != base.image_format:
        kept = [in_format(layer, target) for layer in kept]
    all_layers = [*kept, *(in_format(layer, target) for layer in new_layers)]
    rooted = config.with_rootfs([layer.diff_id for layer in all_layers], history, created=created)
    return make_image(
        base.manifest if base else None,
        edit_config(rooted, edit),
        [layer.descriptor for layer in all_layers],
        image_format=target,
        annotations=annotations,
    )


def replace_layer(image: ImageDocuments, digest: str, layer: ImageLayer) -> ImageDocuments:
    """Return `image` with `layer` in place of the layer with this digest or diff ID.

    Raises InvalidValueError if no layer or more than one has it.
    """
    (offset, *others) = sorted(_offsets(image.layers, [digest]))
    if others:
        raise InvalidValueError(
            f"the layer {digest} occurs {len(others) + 1} times", hint="remove the layer and add the new one"
        )
    layers = [*image.layers]
    layers[offset] = in_format(layer, image.image_format)
    history = list(match_layers(image.config.history, len(layers)))
    at = [n for n, entry in enumerate(history) if not entry.get("empty_layer")][offset]
    history[at] = layer_entry(EPOCH, layer.created_by)
    return make_image(
        image.manifest,
        image.config.with_rootfs([layer.diff_id for layer in layers], history),
        [layer.descriptor for layer in layers],
        image_format=image.image_format,
        annotations=None,
    )


def is_windows(platform: Platform) -> bool:
    """Return whether images of this platform are for Windows."""
    return platform.normalized().os == "windows"


def refuse_windows(platform: Platform) -> None:
    """Raise InvalidValueError if the layers of images of this platform cannot be built here.

    Layers for Windows have files in `Files`, registry hives in `Hives`, and pax records with security descriptors and
    attributes of NTFS. Windows does not import a layer of other paths.
    """
    if is_windows(platform):
        raise InvalidValueError(
            "cannot add a layer to an image for Windows",
            cause="layers are built for Linux: they have no directories Files and Hives and no attributes of NTFS",
            hint="add a layer that was built on Windows, with Layer.from_tarball of the library",
        )


def in_format(layer: ImageLayer, image_format: str) -> ImageLayer:
    """Return `layer` with its media type in an image of this format.

    Raises InvalidValueError if the format has no such media type.
    """
    media_type = media_types.layer_in_format(layer.descriptor.media_type, image_format)
    return layer._replace(descriptor=layer.descriptor._replace(media_type=media_type))


def check_annotations(annotations: Mapping[str, str] | None) -> None:
    """Raise InvalidValueError unless the annotations map strings to strings (image spec, annotations.md)."""
    if annotations is None:
        return
    if not isinstance(annotations, Mapping) or not all(
        isinstance(x, str) for x in (*annotations, *annotations.values())
    ):
        raise InvalidValueError(
            "the annotations do not map strings to strings", hint='write {"name": "value"}', field="annotations"
        )
    for name, value in annotations.items():
        if not name:
            raise InvalidValueError("the name of an annotation is empty", hint="write a name", field="annotations")
        check_text(name, "the name of an annotation", "annotations")
        check_text(value, f"the value of the annotation {printable(name, 100)}", "annotations")


def make_image(
    start: Manifest | None,
    config: ImageConfig,
    layers: Sequence[Descriptor],
    *,
    image_format: str,
    annotations: Mapping[str, str] | None,
) -> ImageDocuments:
    """Return the image with this config and these layers; other keys of its manifest are those of `start`."""
    config_bytes = config.to_bytes()
    _check_size("config", config_bytes, "labels and env")
    check_annotations(annotations)
    document = start.json if start else {}
    # `subject` names the manifest that the base is attached to; the new image is not attached to it.
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


def _check_size(document: str, raw: bytes, large: str) -> None:
    if len(raw) > DEFAULT_LIMIT:
        raise InvalidValueError(
            f"the image's {document} would have {len(raw)} bytes",
            cause=f"registries and runtimes accept at most {DEFAULT_LIMIT}",
            hint=f"shorten its {large}",
        )


def _offsets(layers: Sequence[ImageLayer], digests: Sequence[str]) -> set[int]:
    found: set[int] = set()
    for digest in map(Digest, digests):
        offsets = {n for n, layer in enumerate(layers) if digest in (layer.descriptor.digest, layer.diff_id)}
        if not offsets:
            listed = ", ".join(str(layer.descriptor.digest) for layer in layers)
            raise InvalidValueError(
                f"the image has no layer {digest} to remove",
                cause=f"the layers are {listed}" if listed else "the image has no layers",
            )
        found |= offsets
    return found
