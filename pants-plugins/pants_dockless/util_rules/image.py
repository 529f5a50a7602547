"""Builds images. Manifests and configs are built in rules, from the descriptors of layers."""

import logging
from dataclasses import dataclass
from typing import Optional

from pants.engine.fs import CreateDigest, FileContent
from pants.engine.target import Target
from pants.engine.unions import UnionMembership
from pants.util.frozendict import FrozenDict

from dockless.errors import DocklessError
from dockless.layout.oci_layout import layout_files
from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.mutate.index import assemble_index
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest as ContentDigest
from dockless.oci.image_documents import ImageDocuments, ImageLayer
from dockless.oci.platform import Platform, choose
from pants_dockless import _compat
from pants_dockless.errors import TargetError, log_warning, wrong_target_type
from pants_dockless.field_sets import ContainerImageFieldSet
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import ContainerImageDependenciesField, ImageLayerDependenciesField
from pants_dockless.util_rules.base_images import (
    Base,
    RemoteLayer,
    base_for_platform,
    find_locked_base,
    find_reference,
    parse_platforms,
)
from pants_dockless.util_rules.built_image import BuiltImage, PlatformImage, find_image
from pants_dockless.util_rules.image_layer import find_image_layer, target_of
from pants_dockless.util_rules.layer import BuildContext, build_layer
from pants_dockless.util_rules.layer_process import Layer
from pants_dockless.util_rules.python_image import PythonApplication, PythonLayer, find_applications

logger = logging.getLogger(__name__)

# These annotations are part of the bytes of an image.
_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True)
class Bases:
    """The base of an image for each platform, in the order of the platforms, and the layers of all bases."""

    by_platform: tuple[Optional[Base], ...]
    layers: tuple[Layer, ...] = ()
    remote_layers: tuple[RemoteLayer, ...] = ()
    published_layers: FrozenDict[str, tuple[tuple[str, str], ...]] = FrozenDict()  # noqa: RUF009
    python_layers: tuple[PythonLayer, ...] = ()


async def build_image(
    field_set: ContainerImageFieldSet, context: BuildContext, options: Dockless, unions: UnionMembership
) -> BuiltImage:
    """Build the image of a `container_image`. Raises TargetError."""
    edit = _config_edit(field_set)
    platforms = parse_platforms(field_set.address, field_set.platforms.alias, field_set.platforms.value, options)
    bases = await _find_bases(field_set, platforms, options)
    documents_of_bases = tuple(base.documents if base else None for base in bases.by_platform)
    applications = await find_applications(field_set, platforms, documents_of_bases, unions)
    lower, own = await _build_layers(field_set, context, applications)
    images = [
        _assemble(field_set, platform, base, (*lower, *application.built_layers, *own), application.edited(edit))
        for platform, base, application in zip(platforms, bases.by_platform, applications)
    ]
    python_layers = tuple(layer for application in applications for layer in application.layers)
    layers = (*lower, *(layer.layer for layer in python_layers), *own)
    if not any(image.manifest.layers for image in images):
        log_warning(
            logger, f"{field_set.address}: the image has no content: it has no base, no layers and no dependencies"
        )
    root, documents = _assemble_root(field_set, images)
    files = [FileContent(path, data) for path, data in layout_files([root], documents).items()]
    blobs = await _compat.create_digest(CreateDigest(file for file in files if file.path.startswith("blobs/")))
    marks = await _compat.create_digest(CreateDigest(file for file in files if not file.path.startswith("blobs/")))
    # The images of several platforms can have layers in common.
    by_digest = {layer.built.descriptor.digest: layer for layer in (*bases.layers, *layers)}
    sizes = {layer.digest: layer.size for image in images for layer in image.manifest.layers}
    return BuiltImage(
        digest=root.digest,
        media_type=root.media_type,
        document_size=root.size,
        size=sum(sizes.values()) + sum(map(len, documents.values())),
        images=tuple(
            PlatformImage(str(image.platform), image.manifest.media_type, image.manifest.raw, image.config_bytes)
            for image in images
        ),
        layers=tuple(by_digest[digest] for digest in by_digest if digest in sizes),
        remote_layers=tuple(dict.fromkeys(layer for layer in bases.remote_layers if layer.digest in sizes)),
        documents=blobs,
        layout_files=marks,
        published_layers=bases.published_layers,
        python_layers=(*bases.python_layers, *python_layers),
    )


def _config_edit(field_set: ContainerImageFieldSet) -> ConfigEdit:
    """Return the changes that the fields make to the image config. Raises TargetError."""
    edit = ConfigEdit(
        entrypoint=field_set.entrypoint.value,
        cmd=field_set.cmd.value,
        env=field_set.env.value,
        working_dir=field_set.workdir.value,
        user=field_set.user.value,
        labels=field_set.labels.value,
        exposed_ports=field_set.exposed_ports.value,
        volumes=field_set.volumes.value,
        stop_signal=field_set.stop_signal.value,
        healthcheck={"Test": list(field_set.healthcheck.value)} if field_set.healthcheck.value else None,
    )
    for name, error in edit.check():
        raise TargetError.from_error(field_set.address, "workdir" if name == "working_dir" else name, error)
    return edit


async def _find_bases(field_set: ContainerImageFieldSet, platforms: tuple[Platform, ...], options: Dockless) -> Bases:
    field = field_set.base
    if not field.value:
        return Bases((None,) * len(platforms))
    reference = await find_reference(field)
    if reference:
        locked = await find_locked_base(field, reference.text, options)
        bases = tuple(
            base_for_platform(locked, platform, field, reference.base_image, options) for platform in platforms
        )
        return Bases(bases, remote_layers=tuple(layer for base in bases for layer in base.remote_layers))
    image = await find_image(
        field, "use the address of a base_image or a container_image, or a reference with a digest"
    )
    return Bases(
        tuple(_base_in_repository(field_set, image, platform) for platform in platforms),
        image.layers,
        image.remote_layers,
        image.published_layers,
        image.python_layers,
    )


def _base_in_repository(field_set: ContainerImageFieldSet, image: BuiltImage, platform: Platform) -> Base:
    documents = choose([x.documents for x in image.images], lambda documents: documents.platform, platform)
    if documents is not None:
        return Base(documents)
    raise TargetError(
        field_set.address,
        field_set.base.alias,
        f"the base has no image for {platform}",
        cause=f"the platforms of the base are {', '.join(candidate.platform for candidate in image.images)}",
        hint="add the platform to the field `platforms` of the base, or remove it from this target",
    )


async def _build_layers(
    field_set: ContainerImageFieldSet, context: BuildContext, applications: tuple[PythonApplication, ...]
) -> tuple[tuple[Layer, ...], tuple[Layer, ...]]:
    """Build the layers in the field `layers`, and the layer with the target's own content."""
    without = frozenset(address for application in applications for address in application.targets)
    targets = await _compat.resolve_targets(field_set.layers.to_unparsed_address_inputs())
    own_target = await target_of(field_set)
    layers = await _compat.concurrently(
        (
            *(_build_image_layer(field_set, target) for target in targets),
            build_layer(own_target, context, without),
        )
    )
    lower, own = layers[:-1], layers[-1:]
    return tuple(layer for layer in lower if layer is not None), tuple(layer for layer in own if layer is not None)


async def _build_image_layer(field_set: ContainerImageFieldSet, target: Target) -> Optional[Layer]:
    if not target.has_field(ImageLayerDependenciesField):
        raise wrong_target_type(
            field_set.address,
            field_set.layers.alias,
            target,
            "image_layer",
            "write the address in the field `base`"
            if target.has_field(ContainerImageDependenciesField)
            else "move the address to `dependencies` of this target or of an image_layer",
        )
    return await find_image_layer(target)


def _assemble(
    field_set: ContainerImageFieldSet,
    platform: Platform,
    base: Optional[Base],
    layers: tuple[Layer, ...],
    edit: ConfigEdit,
) -> ImageDocuments:
    annotations = dict(field_set.annotations.value or {})
    if base and base.name:
        annotations = {_BASE_NAME: base.name, _BASE_DIGEST: base.digest, **annotations}
    try:
        image = assemble_image(
            platform,
            [ImageLayer(layer.built.descriptor, layer.built.diff_id) for layer in layers],
            edit,
            base=base.documents if base else None,
            image_format=field_set.format.value,
            remove_layers=field_set.remove_layers.value or (),
            annotations=annotations or None,
        )
    except DocklessError as error:
        raise TargetError.from_error(field_set.address, None, error) from None
    for warning in image.warnings:
        log_warning(logger, f"{field_set.address}: {warning}")
    return image


def _assemble_root(
    field_set: ContainerImageFieldSet, images: list[ImageDocuments]
) -> tuple[Descriptor, dict[ContentDigest, bytes]]:
    """Return the descriptor of the image or the image index, and all documents."""
    documents = {digest: data for image in images for digest, data in image.documents.items()}
    if len(images) == 1:
        return images[0].descriptor, documents
    try:
        index = assemble_index(images, image_format=field_set.format.value)
    except DocklessError as error:
        raise TargetError.from_error(field_set.address, field_set.platforms.alias, error) from None
    return index.descriptor, {**documents, index.digest: index.raw}
