"""`pants package`: an image as an OCI layout and its description; a push_image as its plan."""

import json
from dataclasses import dataclass, field
from typing import Any, Optional

from pants.core.goals.package import (
    BuiltPackage,
    BuiltPackageArtifact,
    EnvironmentAwarePackageRequest,
    OutputPathField,
    PackageFieldSet,
)
from pants.core.util_rules.adhoc_binaries import PythonBuildStandaloneBinary
from pants.engine.fs import EMPTY_DIGEST, AddPrefix, CreateDigest, Digest, FileContent, FileEntry, MergeDigests
from pants.engine.rules import collect_rules, rule
from pants.engine.unions import UnionRule
from pants.util.logging import LogLevel

from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import (
    ImageContentField,
    ImageField,
    ImageTagsField,
    RegistriesField,
    RepositoryField,
    SkipPushField,
)
from pants_dockless.util_rules.destinations import Destination, find_destinations
from pants_dockless.util_rules.export import written_image
from pants_dockless.util_rules.image import BuiltImage, build_image
from pants_dockless.util_rules.image_fields import ContainerImageFieldSet
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.layer import BuildContext
from pants_dockless.util_rules.tools import Tools


@dataclass(frozen=True)
class PushImageFieldSet(PackageFieldSet):
    required_fields = (ImageField,)

    image: ImageField
    output_path: OutputPathField
    registries: RegistriesField
    repository: RepositoryField
    image_tags: ImageTagsField
    skip_push: SkipPushField


@dataclass(frozen=True)
class ImageArtifact(BuiltPackageArtifact):
    """What `publish` needs beside the files that are written to dist."""

    image: Optional[BuiltImage] = None
    destinations: tuple[Destination, ...] = field(default_factory=tuple)


async def image_of(field_set: PushImageFieldSet) -> BuiltImage:
    """The image that a `push_image` names."""
    targets = await _compat.resolve_targets(field_set.image.to_unparsed_address_inputs())
    target = targets[0]
    if not target.has_field(ImageContentField):
        raise TargetError(
            field_set.address,
            field_set.image.alias,
            f"{target.address} is a {target.alias}, not a container_image",
            hint="name the address of the image to push",
        )
    package = await _compat.build_package(EnvironmentAwarePackageRequest(ContainerImageFieldSet.create(target)))
    return package.artifacts[0].image


@dataclass(frozen=True)
class Placed:
    """A tree for dist, and the path in it that Pants is to tell of; None where there is nothing."""

    digest: Digest
    path: Optional[str]


async def placed_at(written: Digest, path: str, archive: bool) -> Placed:
    """A layout's tree under `path`, or the one file of an archive's tree as `path`."""
    if written == EMPTY_DIGEST:
        return Placed(written, None)
    if not archive:
        return Placed(await _compat.add_prefix(AddPrefix(written, path)), path)
    folder, _, name = path.rpartition("/")
    entries = await _compat.digest_entries(written)
    renamed = [FileEntry(name, entry.file_digest) for entry in entries if isinstance(entry, FileEntry)]
    tree = await _compat.create_digest(CreateDigest(renamed))
    return Placed(await _compat.add_prefix(AddPrefix(tree, folder)) if folder else tree, path)


@rule(desc="Package container image", level=LogLevel.DEBUG)
async def package_container_image(
    field_set: ContainerImageFieldSet,
    python: SharedPython,
    client_python: PythonBuildStandaloneBinary,
    tools: Tools,
    options: Dockless,
) -> BuiltPackage:
    context = BuildContext(python, client_python, tools, options.default_compression)
    image = await build_image(field_set, context, options)
    destinations = find_destinations(
        field_set.address, field_set.registries, field_set.repository, field_set.image_tags, options, image.digest
    )
    output = field_set.output.value
    written = await written_image(
        field_set.address,
        image,
        output,
        field_set.include_base_layers.value,
        destinations,
        context,
        options,
    )
    path = field_set.output_path.value_or_default(file_ending=None)
    archive = output.endswith("-archive")
    placed = await placed_at(
        written, field_set.output_path.value_or_default(file_ending="tar") if archive else path, archive
    )
    description = await _compat.create_digest(
        CreateDigest([_json_file(f"{path}.json", _description(field_set, image, destinations))])
    )
    said = (f"digest: {image.digest}", f"size: {_human(image.size)}")
    return BuiltPackage(
        await _compat.merge_digests(MergeDigests((placed.digest, description))),
        (
            ImageArtifact(placed.path, said, image=image, destinations=destinations),
            BuiltPackageArtifact(f"{path}.json"),
        ),
    )


@rule(desc="Plan a push", level=LogLevel.DEBUG)
async def package_push_image(field_set: PushImageFieldSet, options: Dockless) -> BuiltPackage:
    path = field_set.output_path.value_or_default(file_ending="json")
    image = await image_of(field_set)
    destinations = find_destinations(
        field_set.address, field_set.registries, field_set.repository, field_set.image_tags, options, image.digest
    )
    plan = {
        "address": str(field_set.address),
        "digest": image.digest,
        "references": _references(field_set, destinations),
    }
    return BuiltPackage(
        await _compat.create_digest(CreateDigest([_json_file(path, plan)])),
        (ImageArtifact(path, (f"digest: {image.digest}",), image=image, destinations=destinations),),
    )


def _references(field_set: Any, destinations: tuple[Destination, ...]) -> list:
    if field_set.skip_push.value:
        return []
    return [reference for d in destinations if not d.skip_push for reference in d.references]


def _description(
    field_set: ContainerImageFieldSet, image: BuiltImage, destinations: tuple[Destination, ...]
) -> dict[str, Any]:
    documents = [built.documents for built in image.images]
    return {
        "address": str(field_set.address),
        "digest": image.digest,
        "config_digest": documents[0].manifest.config.digest,
        "media_type": image.media_type,
        "size": image.size,
        "platforms": [built.platform for built in image.images],
        "layers": _layers(documents, image),
        "references": _references(field_set, destinations),
    }


def _layers(documents: list, image: BuiltImage) -> list:
    """Each layer of each image once, lowest first; with its `source` where it is not in the layout."""
    remote = {layer.digest: f"{layer.registry}/{layer.repository}" for layer in image.remote}
    found = {}
    for layer in (layer for each in documents for layer in each.layers):
        digest = str(layer.descriptor.digest)
        found[digest] = {
            "digest": digest,
            "diff_id": layer.diff_id,
            "media_type": layer.descriptor.media_type,
            "size": layer.descriptor.size,
            **({"source": remote[digest]} if digest in remote else {}),
        }
    return list(found.values())


def _json_file(path: str, document: dict[str, Any]) -> FileContent:
    return FileContent(path, (json.dumps(document, indent=2) + "\n").encode())


def _human(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.4g} {unit}"
        size = size / 1000
    return f"{size:.4g} GB"


def rules() -> list:
    return [
        *collect_rules(),
        UnionRule(PackageFieldSet, ContainerImageFieldSet),
        UnionRule(PackageFieldSet, PushImageFieldSet),
    ]
