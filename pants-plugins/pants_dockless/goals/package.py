"""The goal `package`: writes an image and its metadata, or the metadata of a `push_image`."""

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
from pants_dockless.field_sets import BuildImageFieldSet, ContainerImageFieldSet, PushImageFieldSet
from pants_dockless.subsystem import Dockless
from pants_dockless.util_rules.built_image import BuiltImage, ImageArtifact, find_image, image_artifact
from pants_dockless.util_rules.destinations import Destination, find_destinations
from pants_dockless.util_rules.export import export_image, place_output
from pants_dockless.util_rules.image import build_image
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.layer import BuildContext


@rule(desc="Build container image", level=LogLevel.DEBUG)
async def build_container_image(
    field_set: BuildImageFieldSet,
    python: SharedPython,
    options: Dockless,
    global_options: GlobalOptions,
    union_membership: UnionMembership,
) -> BuiltPackage:
    """Build the image of a `container_image`."""
    context = BuildContext.create(python, options, global_options)
    image = await build_image(field_set, context, options, union_membership)
    return BuiltPackage(
        EMPTY_DIGEST,
        (ImageArtifact(None, built=image, destinations=_destinations(field_set, image, options)),),
    )


@rule(desc="Package container image", level=LogLevel.DEBUG)
async def package_container_image(
    field_set: ContainerImageFieldSet,
    python: SharedPython,
    options: Dockless,
    global_options: GlobalOptions,
) -> BuiltPackage:
    """Build the image of a `container_image`, and write it in the form that the field `output` names."""
    context = BuildContext.create(python, options, global_options)
    built = await _compat.build_package(EnvironmentAwarePackageRequest(BuildImageFieldSet.of(field_set)))
    artifact = image_artifact(built)
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


@rule(desc="Package push_image", level=LogLevel.DEBUG)
async def package_push_image(field_set: PushImageFieldSet, options: Dockless) -> BuiltPackage:
    """Write the digest of the image and the references that `publish` pushes."""
    image = await find_image(field_set.image, "use the address of the container_image to push")
    destinations = _destinations(field_set, image, options)
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


def _destinations(
    field_set: Union[ContainerImageFieldSet, PushImageFieldSet], image: BuiltImage, options: Dockless
) -> tuple[Destination, ...]:
    return find_destinations(
        field_set.address, field_set.registries, field_set.repository, field_set.image_tags, options, image.digest
    )


def _references(
    field_set: Union[ContainerImageFieldSet, PushImageFieldSet], destinations: tuple[Destination, ...]
) -> list[str]:
    if field_set.skip_push.value:
        return []
    return [
        reference for destination in destinations if not destination.skip_push for reference in destination.references
    ]


def _metadata(
    field_set: ContainerImageFieldSet, image: BuiltImage, destinations: tuple[Destination, ...]
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
        UnionRule(PackageFieldSet, BuildImageFieldSet),
        UnionRule(PackageFieldSet, ContainerImageFieldSet),
        UnionRule(PackageFieldSet, PushImageFieldSet),
    ]
