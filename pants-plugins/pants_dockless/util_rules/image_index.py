"""Builds indexes of images that are targets of their own."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional, Union

from pants.engine.addresses import Address, UnparsedAddressInputs
from pants.engine.fs import CreateDigest, FileContent
from pants.engine.rules import Rule, collect_rules, rule
from pants.engine.target import FieldSet, InferDependenciesRequest, InferredDependencies
from pants.engine.unions import UnionRule
from pants.util.frozendict import FrozenDict

from dockless.errors import DocklessError
from dockless.layout.oci_layout import layout_files
from dockless.mutate.index import assemble_index
from dockless.oci.platform import Platform
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.field_sets import ImageIndexFieldSet
from pants_dockless.target_types import ImageIndexDependenciesField, ImagesField
from pants_dockless.util_rules.built_image import BuiltImage, build_image_of, resolve_images
from pants_dockless.util_rules.parametrizations import find_parametrizations


@dataclass(frozen=True)
class ImageIndexDependenciesFieldSet(FieldSet):
    """The fields of an `image_index` that its dependencies are inferred from."""

    required_fields = (ImageIndexDependenciesField, ImagesField)

    images: ImagesField


class InferImages(InferDependenciesRequest[ImageIndexDependenciesFieldSet]):
    """A request for the dependencies of an `image_index`."""

    infer_from = ImageIndexDependenciesFieldSet


@rule
async def infer_images(request: InferImages) -> InferredDependencies:
    """Return the images of an index."""
    return InferredDependencies(await find_parametrizations(request.field_set.images.to_unparsed_address_inputs()))


async def build_index(field_set: ImageIndexFieldSet) -> BuiltImage:
    """Build the index of an `image_index`. Raises TargetError."""
    hint = "use the addresses of container_image targets"
    addresses = await find_parametrizations(field_set.images.to_unparsed_address_inputs())
    inputs = UnparsedAddressInputs(
        (address.spec for address in addresses), owning_address=None, description_of_origin=str(field_set.address)
    )
    targets = await resolve_images(field_set.images, inputs, hint)
    if not targets:
        raise TargetError(field_set.address, field_set.images.alias, "no image is given", hint=hint)
    images = await _compat.concurrently(build_image_of(target) for target in targets)
    _check_platforms(field_set, tuple(zip((target.address for target in targets), images)))
    documents = [child.documents for image in images for child in image.images]
    try:
        index = assemble_index(
            documents, image_format=field_set.format.value, annotations=dict(field_set.annotations.value or {}) or None
        )
    except DocklessError as error:
        raise TargetError.from_error(field_set.address, None, error) from None
    all_documents = {index.digest: index.raw}
    for child in documents:
        all_documents.update(child.documents)
    files = [FileContent(path, data) for path, data in layout_files([index.descriptor], all_documents).items()]
    sizes = {layer.digest: layer.size for child in documents for layer in child.manifest.layers}
    published: dict[str, tuple[tuple[str, str], ...]] = {}
    for image in images:
        for digest, places in image.published_layers.items():
            published[digest] = tuple(dict.fromkeys((*published.get(digest, ()), *places)))
    return BuiltImage(
        digest=index.digest,
        media_type=index.descriptor.media_type,
        document_size=index.descriptor.size,
        size=sum(sizes.values()) + sum(map(len, all_documents.values())),
        images=tuple(child for image in images for child in image.images),
        layers=tuple(dict.fromkeys(layer for image in images for layer in image.layers)),
        remote_layers=tuple(dict.fromkeys(layer for image in images for layer in image.remote_layers)),
        documents=await _compat.create_digest(CreateDigest(f for f in files if f.path.startswith("blobs/"))),
        layout_files=await _compat.create_digest(CreateDigest(f for f in files if not f.path.startswith("blobs/"))),
        published_layers=FrozenDict(published),
        python_layers=tuple(dict.fromkeys(layer for image in images for layer in image.python_layers)),
    )


def _check_platforms(field_set: ImageIndexFieldSet, images: tuple[tuple[Address, BuiltImage], ...]) -> None:
    """Raise TargetError, which names both targets, if two images are for the same platform."""
    seen: dict[Platform, Address] = {}
    for address, image in images:
        for child in image.images:
            platform = child.documents.platform.normalized()
            other: Optional[Address] = seen.setdefault(platform, address)
            if other != address:
                raise TargetError(
                    field_set.address,
                    field_set.images.alias,
                    f"both {other} and {address} are for {platform}",
                    hint="remove one of the two images, or change its field `platforms`",
                )


def rules() -> Iterable[Union[Rule, UnionRule]]:
    """Return the rules of this module."""
    return [*collect_rules(), UnionRule(InferDependenciesRequest, InferImages)]
