"""Images: manifest and config made in the rule, from descriptors of layers, never from their bytes."""

from dataclasses import dataclass

from pants.core.goals.package import OutputPathField, PackageFieldSet
from pants.engine.addresses import UnparsedAddressInputs
from pants.engine.fs import CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.target import Target

from dockless.config import ConfigEdit
from dockless.digest import Digest as ContentDigest
from dockless.image.assemble import ImageLayer, assemble_image
from dockless.layout.oci import layout_files
from dockless.platform import DEFAULT_PLATFORM
from pants_dockless import engine
from pants_dockless.errors import TargetError
from pants_dockless.layer_fields import ImageContentField, LayerContentField
from pants_dockless.rules.layer import Layer, LayerContext, build_layer
from pants_dockless.target_types import (
    CmdField,
    EntrypointField,
    EnvField,
    ImageTagsField,
    LabelsField,
    LayersField,
    RegistriesField,
    RepositoryField,
    SkipPushField,
    UserField,
    WorkdirField,
)


@dataclass(frozen=True)
class ContainerImageFieldSet(PackageFieldSet):
    required_fields = (ImageContentField,)

    content: ImageContentField
    layers: LayersField
    entrypoint: EntrypointField
    cmd: CmdField
    env: EnvField
    workdir: WorkdirField
    user: UserField
    labels: LabelsField
    output_path: OutputPathField
    registries: RegistriesField
    repository: RepositoryField
    image_tags: ImageTagsField
    skip_push: SkipPushField


@dataclass(frozen=True)
class BuiltImage:
    """An image: what describes it, and the digest of a tree that is its OCI layout.

    Hashable, because Pants makes it part of a request.
    """

    digest: ContentDigest
    config_digest: ContentDigest
    media_type: str
    size: int
    platforms: tuple[str, ...]
    layers: tuple[Layer, ...]
    layout: Digest


async def build_layer_target(owner: ContainerImageFieldSet, target: Target, context: LayerContext) -> tuple:
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
    return (await engine.resolve_targets(inputs))[0]


async def build_image(field_set: ContainerImageFieldSet, context: LayerContext) -> BuiltImage:
    """The image of a `container_image`. Raises TargetError."""
    edit = _config_edit(field_set)
    targets = await engine.resolve_targets(field_set.layers.to_unparsed_address_inputs())
    own = await target_of(field_set)
    found = await engine.concurrently(
        (
            *(build_layer_target(field_set, target, context) for target in targets),
            build_layer(own, context),
        )
    )
    layers = tuple(layer for made in found for layer in made)
    assembled = assemble_image(
        DEFAULT_PLATFORM, [ImageLayer(layer.built.descriptor, layer.built.diff_id) for layer in layers], edit
    )
    documents = await engine.create_digest(
        CreateDigest(
            FileContent(path, data) for path, data in layout_files([assembled.descriptor], assembled.documents).items()
        )
    )
    layout = await engine.merge_digests(MergeDigests((documents, *(layer.digest for layer in layers))))
    return BuiltImage(
        digest=assembled.manifest.digest,
        config_digest=assembled.manifest.config.digest,
        media_type=assembled.manifest.media_type,
        size=assembled.size,
        platforms=(str(assembled.platform),),
        layers=layers,
        layout=layout,
    )


def _config_edit(field_set: ContainerImageFieldSet) -> ConfigEdit:
    edit = ConfigEdit(
        entrypoint=field_set.entrypoint.value,
        cmd=field_set.cmd.value,
        env=field_set.env.value,
        working_dir=field_set.workdir.value,
        user=field_set.user.value,
        labels=field_set.labels.value,
    )
    for name, error in edit.check():
        raise TargetError.of(field_set.address, "workdir" if name == "working_dir" else name, error)
    return edit
