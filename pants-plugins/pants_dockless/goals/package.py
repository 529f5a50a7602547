"""The goal `package`: writes an image or an index and its metadata, or the metadata of a `push_image`."""

from collections.abc import Iterable
from typing import Any, Union

from pants.core.goals.package import BuiltPackage, BuiltPackageArtifact, EnvironmentAwarePackageRequest, PackageFieldSet
from pants.engine.fs import EMPTY_DIGEST, CreateDigest, FileContent, MergeDigests
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.unions import UnionMembership, UnionRule
from pants.option.global_options import GlobalOptions
from pants.util.logging import LogLevel

from dockless._printable import printable_json
from dockless._units import format_size
from dockless.oci.image_documents import ImageDocuments
from pants_dockless import _compat
from pants_dockless.field_sets import (
    BuildImageFieldSet,
    BuildIndexFieldSet,
    ContainerImageFieldSet,
    ImageIndexFieldSet,
    PushImageFieldSet,
)
from pants_dockless.subsystem import Dockless
from pants_dockless.util_rules import image_tags
from pants_dockless.util_rules.built_image import (
    BuiltImage,
    ImageArtifact,
    build_image_of,
    image_artifact,
    resolve_image,
)
from pants_dockless.util_rules.destinations import Destination, find_destinations
from pants_dockless.util_rules.export import export_image, place_output
from pants_dockless.util_rules.image import build_image
from pants_dockless.util_rules.image_index import build_index
from pants_dockless.util_rules.image_layer import target_of
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.layer import BuildContext


# Before the rules: Pants 2.17 analyzes the functions that a rule calls when the rule is defined.
async def _package(
    field_set: Union[ContainerImageFieldSet, ImageIndexFieldSet],
    build: Union[BuildImageFieldSet, BuildIndexFieldSet],
    context: BuildContext,
    options: Dockless,
) -> BuiltPackage:
    """Build an image, and write it in the form that the field `output` names."""
    artifact = image_artifact(await _compat.build_package(EnvironmentAwarePackageRequest(build)))
    image, destinations = artifact.image, artifact.destinations
    exported = await export_image(field_set, image, destinations, context, options)
    path = field_set.output_path.value_or_default(file_ending=None)
    is_archive = field_set.output.value.endswith("-archive")
    output_path = field_set.output_path.value_or_default(file_ending="tar") if is_archive else path
    output, relpath = await place_output(exported, output_path, is_archive)
    metadata = await _compat.create_digest(
        CreateDigest([_json_file(f"{path}.json", _metadata(field_set, image, destinations))])
    )
    return BuiltPackage(
        await _compat.merge_digests(MergeDigests((output, metadata))),
        (
            ImageArtifact(
                relpath,
                (f"digest: {image.digest}", f"size: {format_size(image.size)}"),
                built=image,
                destinations=destinations,
            ),
            BuiltPackageArtifact(f"{path}.json"),
        ),
    )


@rule(desc="Build container image", level=LogLevel.DEBUG)
async def build_container_image(
    field_set: BuildImageFieldSet,
    python: SharedPython,
    options: Dockless,
    global_options: GlobalOptions,
    unions: UnionMembership,
) -> BuiltPackage:
    """Build the image of a `container_image`."""
    context = BuildContext.create(python, options, global_options)
    image = await build_image(field_set, context, options, unions)
    destinations = await find_destinations(await target_of(field_set), options, unions, image.digest)
    return BuiltPackage(EMPTY_DIGEST, (ImageArtifact(None, built=image, destinations=destinations),))


@rule(desc="Build image index", level=LogLevel.DEBUG)
async def build_image_index(field_set: BuildIndexFieldSet, options: Dockless, unions: UnionMembership) -> BuiltPackage:
    """Build the index of an `image_index`."""
    index = await build_index(field_set)
    destinations = await find_destinations(await target_of(field_set), options, unions, index.digest)
    return BuiltPackage(EMPTY_DIGEST, (ImageArtifact(None, built=index, destinations=destinations),))


@rule(desc="Package container image", level=LogLevel.DEBUG)
async def package_container_image(
    field_set: ContainerImageFieldSet,
    python: SharedPython,
    options: Dockless,
    global_options: GlobalOptions,
) -> BuiltPackage:
    """Write the image of a `container_image` to dist."""
    context = BuildContext.create(python, options, global_options)
    return await _package(field_set, BuildImageFieldSet.of(field_set), context, options)


@rule(desc="Package image index", level=LogLevel.DEBUG)
async def package_image_index(
    field_set: ImageIndexFieldSet,
    python: SharedPython,
    options: Dockless,
    global_options: GlobalOptions,
) -> BuiltPackage:
    """Write the index of an `image_index` to dist."""
    context = BuildContext.create(python, options, global_options)
    return await _package(field_set, BuildIndexFieldSet.of(field_set), context, options)


@rule(desc="Package push_image", level=LogLevel.DEBUG)
async def package_push_image(field_set: PushImageFieldSet, options: Dockless, unions: UnionMembership) -> BuiltPackage:
    """Write the digest of the image and the references that `publish` pushes."""
    hint = "use the address of the container_image or the image_index to push"
    target = await resolve_image(field_set.image, hint)
    image = await build_image_of(target)
    own_target = await target_of(field_set)
    destinations = await find_destinations(own_target, options, unions, image.digest, image=target)
    path = field_set.output_path.value_or_default(file_ending="json")
    metadata = {
        "address": str(field_set.address),
        "digest": image.digest,
        "references": _references(field_set, destinations),
    }
    return BuiltPackage(
        await _compat.create_digest(CreateDigest([_json_file(path, metadata)])),
        (ImageArtifact(path, (f"digest: {image.digest}",), built=image, destinations=destinations),),
    )


def _references(
    field_set: Union[ContainerImageFieldSet, ImageIndexFieldSet, PushImageFieldSet],
    destinations: tuple[Destination, ...],
) -> list[str]:
    if field_set.skip_push.value:
        return []
    return [
        reference for destination in destinations if not destination.skip_push for reference in destination.references
    ]


def _metadata(
    field_set: Union[ContainerImageFieldSet, ImageIndexFieldSet],
    image: BuiltImage,
    destinations: tuple[Destination, ...],
) -> dict[str, Any]:
    documents = [platform_image.documents for platform_image in image.images]
    return {
        "address": str(field_set.address),
        "digest": image.digest,
        "config_digest": documents[0].manifest.config.digest,
        "media_type": image.media_type,
        "size": image.size,
        "platforms": [platform_image.platform for platform_image in image.images],
        "layers": _layers(documents, image),
        "references": _references(field_set, destinations),
    }


def _layers(documents: list[ImageDocuments], image: BuiltImage) -> list[dict[str, Any]]:
    """Describe the layers of all images, the lowest first. `source` is the repository of a layer of a base."""
    repositories = {layer.digest: f"{layer.registry}/{layer.repository}" for layer in image.remote_layers}
    described = {layer.digest: layer.to_json() for layer in image.python_layers}
    layers: dict[str, dict[str, Any]] = {}
    for layer in (layer for platform_documents in documents for layer in platform_documents.layers):
        digest = str(layer.descriptor.digest)
        layers[digest] = {
            "digest": digest,
            "diff_id": layer.diff_id,
            "media_type": layer.descriptor.media_type,
            "size": layer.descriptor.size,
            **described.get(digest, {}),
            **({"source": repositories[digest]} if digest in repositories else {}),
        }
    return list(layers.values())


def _json_file(path: str, document: dict[str, Any]) -> FileContent:
    return FileContent(path, f"{printable_json(document)}\n".encode())


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [
        *collect_rules(),
        *image_tags.rules(),
        UnionRule(PackageFieldSet, BuildImageFieldSet),
        UnionRule(PackageFieldSet, BuildIndexFieldSet),
        UnionRule(PackageFieldSet, ContainerImageFieldSet),
        UnionRule(PackageFieldSet, ImageIndexFieldSet),
        UnionRule(PackageFieldSet, PushImageFieldSet),
    ]
