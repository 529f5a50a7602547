"""Images: manifest and config made in the rule, from descriptors of layers, never from their bytes."""

import logging
from dataclasses import dataclass
from typing import Optional

from pants.core.goals.package import EnvironmentAwarePackageRequest
from pants.engine.addresses import UnparsedAddressInputs
from pants.engine.fs import CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.target import Target

from dockless.errors import DocklessError
from dockless.layout.oci_layout import layout_files
from dockless.mutate.assemble import assemble_image
from dockless.mutate.config_edit import ConfigEdit
from dockless.mutate.index import assemble_index
from dockless.oci.descriptor import Descriptor
from dockless.oci.digest import Digest as ContentDigest
from dockless.oci.image_documents import ImageDocuments, ImageLayer
from dockless.oci.manifest import Manifest
from dockless.oci.platform import Platform
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import ImageContentField, LayerContentField
from pants_dockless.util_rules.base_images import (
    Base,
    RemoteLayer,
    base_for,
    locked_base,
    parse_platforms,
    reference_of,
)
from pants_dockless.util_rules.image_fields import ContainerImageFieldSet, config_edit
from pants_dockless.util_rules.layer import BuildContext, Layer, build_layer

logger = logging.getLogger(__name__)

_BASE_NAME = "org.opencontainers.image.base.name"
_BASE_DIGEST = "org.opencontainers.image.base.digest"


@dataclass(frozen=True)
class PlatformImage:
    """The image for one platform, as bytes: what Pants puts into a request must be hashable."""

    platform: str
    media_type: str
    manifest: bytes
    config: bytes

    @property
    def documents(self) -> ImageDocuments:
        manifest = Manifest.from_bytes(self.manifest, self.platform, media_type=self.media_type)
        return ImageDocuments.read(manifest, self.config, self.platform)


@dataclass(frozen=True)
class BuiltImage:
    """An image or an index of images: what describes it, and the digest of a tree that is its OCI layout.

    Layers of a base are not in the tree: `remote` says where they are.
    """

    digest: ContentDigest
    media_type: str
    size: int
    images: tuple[PlatformImage, ...]
    layers: tuple[Layer, ...]
    remote: tuple[RemoteLayer, ...]
    layout: Digest


@dataclass(frozen=True)
class Bases:
    """What an image stands on: a `Base` (or None) for each platform, and their layers, here and elsewhere."""

    per_platform: tuple
    layers: tuple[Layer, ...] = ()
    remote: tuple[RemoteLayer, ...] = ()


async def build_layer_target(owner: ContainerImageFieldSet, target: Target, context: BuildContext) -> tuple:
    if not target.has_field(LayerContentField):
        raise TargetError(
            owner.address,
            owner.layers.alias,
            f"{target.address} is a {target.alias}, not an image_layer",
            hint="put it in `dependencies`, or in an image_layer of its own",
        )
    return await build_layer(target, context)


async def target_of(field_set: ContainerImageFieldSet) -> Target:
    """The target itself: a field set knows only some of its fields."""
    inputs = UnparsedAddressInputs(
        (field_set.address.spec,), owning_address=None, description_of_origin="its own address"
    )
    return (await _compat.resolve_targets(inputs))[0]


async def built_base(field_set: ContainerImageFieldSet) -> BuiltImage:
    """The `container_image` that `base` names."""
    target = (await _compat.resolve_targets(field_set.base.to_unparsed_address_inputs()))[0]
    if not target.has_field(ImageContentField):
        raise TargetError(
            field_set.address,
            field_set.base.alias,
            f"{target.address} is a {target.alias}",
            hint="name a base_image, a container_image, or a reference with a digest",
        )
    package = await _compat.build_package(EnvironmentAwarePackageRequest(ContainerImageFieldSet.create(target)))
    return package.artifacts[0].image


async def find_bases(field_set: ContainerImageFieldSet, platforms: tuple, options: Dockless) -> Bases:
    if not field_set.base.value:
        return Bases((None,) * len(platforms))
    reference = await reference_of(field_set.base, field_set.address)
    if reference:
        locked = await locked_base(field_set.base, field_set.address, reference, options)
        found = tuple(base_for(locked, platform, field_set.base, field_set.address) for platform in platforms)
        return Bases(found, remote=tuple(layer for base in found for layer in base.remote))
    image = await built_base(field_set)
    return Bases(tuple(_own_base(field_set, image, p) for p in platforms), image.layers, image.remote)


async def build_image(field_set: ContainerImageFieldSet, context: BuildContext, options: Dockless) -> BuiltImage:
    """The image of a `container_image`. Raises TargetError."""
    edit = config_edit(field_set)
    platforms = parse_platforms(field_set.address, field_set.platforms.alias, field_set.platforms.value, options)
    bases = await find_bases(field_set, platforms, options)
    targets = await _compat.resolve_targets(field_set.layers.to_unparsed_address_inputs())
    own = await target_of(field_set)
    found = await _compat.concurrently(
        (*(build_layer_target(field_set, target, context) for target in targets), build_layer(own, context))
    )
    layers = tuple(layer for made in found for layer in made)
    images = [_assemble(field_set, *pair, layers, edit) for pair in zip(platforms, bases.per_platform)]
    root, documents = _root(field_set, images)
    files = await _compat.create_digest(
        CreateDigest(FileContent(path, data) for path, data in layout_files([root], documents).items())
    )
    every = (*bases.layers, *layers)
    sizes = {layer.digest: layer.size for image in images for layer in image.manifest.layers}
    return BuiltImage(
        digest=root.digest,
        media_type=root.media_type,
        size=sum(sizes.values()) + sum(map(len, documents.values())),
        images=tuple(
            PlatformImage(str(image.platform), image.manifest.media_type, image.manifest.raw, image.config_bytes)
            for image in images
        ),
        layers=tuple(layer for layer in every if layer.built.descriptor.digest in sizes),
        remote=tuple(dict.fromkeys(layer for layer in bases.remote if layer.digest in sizes)),
        layout=await _compat.merge_digests(MergeDigests((files, *(layer.digest for layer in every)))),
    )


def _own_base(field_set: ContainerImageFieldSet, image: BuiltImage, platform: Platform) -> Base:
    for built in image.images:
        documents = built.documents
        if documents.platform.matches(platform):
            return Base(documents, "", "", ())
    there = ", ".join(built.platform for built in image.images)
    raise TargetError(
        field_set.address,
        field_set.base.alias,
        f"the base has no image for {platform}",
        cause=f"it has {there}",
        hint="add it to the base's `platforms`, or leave it out of this one's",
    )


def _assemble(
    field_set: ContainerImageFieldSet, platform: Platform, base: Optional[Base], layers: tuple, edit: ConfigEdit
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
        raise TargetError.of(field_set.address, None, error) from None
    for warning in image.warnings:
        logger.warning(f"{field_set.address}: {warning}")
    return image


def _root(field_set: ContainerImageFieldSet, images: list) -> tuple[Descriptor, dict]:
    """What the layout's index names, and all documents below it."""
    documents = {digest: data for image in images for digest, data in image.documents.items()}
    if len(images) == 1:
        return images[0].descriptor, documents
    try:
        index = assemble_index(images, image_format=field_set.format.value)
    except DocklessError as error:
        raise TargetError.of(field_set.address, field_set.platforms.alias, error) from None
    return index.descriptor, {**documents, index.digest: index.raw}
