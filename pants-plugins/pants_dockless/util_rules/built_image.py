"""The value of a built image, and how rules obtain the image of another target."""

from dataclasses import dataclass, replace
from typing import Optional

from pants.core.goals.package import BuiltPackage, BuiltPackageArtifact, EnvironmentAwarePackageRequest, PackageFieldSet
from pants.engine.addresses import UnparsedAddressInputs
from pants.engine.fs import Digest, MergeDigests
from pants.engine.target import AsyncFieldMixin, Target
from pants.util.frozendict import FrozenDict

from dockless.oci.digest import Digest as ContentDigest
from dockless.oci.image_documents import ImageDocuments
from dockless.oci.manifest import Manifest
from dockless.oci.media_types import INDEXES
from pants_dockless import _compat
from pants_dockless.errors import wrong_target_type
from pants_dockless.field_sets import BuildImageFieldSet, BuildIndexFieldSet
from pants_dockless.target_types import ContainerImageDependenciesField, ImagesField, SingleAddressField
from pants_dockless.util_rules.base_images import RemoteLayer
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.layer_process import Layer, layer_trees
from pants_dockless.util_rules.parametrizations import check_one_parametrization
from pants_dockless.util_rules.python_image import PythonLayer


@dataclass(frozen=True)
class PlatformImage:
    """The image for one platform. The documents are bytes, because values of Pants rules must be hashable."""

    platform: str
    media_type: str
    manifest: bytes
    config: bytes

    @property
    def parsed(self) -> Manifest:
        """The parsed manifest."""
        return Manifest.from_bytes(self.manifest, self.platform, media_type=self.media_type)

    @property
    def documents(self) -> ImageDocuments:
        """The parsed documents."""
        return ImageDocuments.read(self.parsed, self.config, self.platform)


@dataclass(frozen=True)
class BuiltImage:
    """An image or an image index.

    document_size     the size of the root manifest or index in bytes
    size              the size of all documents and layers in bytes
    documents         a tree with the manifests and configs, as files of an OCI image layout
    layout_files      a tree with the files that make a directory with the blobs an OCI image layout
    published_layers  for layers of other images of the repository, the registries and repositories to which these
                      images are published
    python_layers     the layers of Python applications, those of the base included
    """

    digest: ContentDigest
    media_type: str
    document_size: int
    size: int
    images: tuple[PlatformImage, ...]
    layers: tuple[Layer, ...]
    remote_layers: tuple[RemoteLayer, ...]
    documents: Digest
    layout_files: Digest
    published_layers: FrozenDict[str, tuple[tuple[str, str], ...]] = FrozenDict()  # noqa: RUF009
    python_layers: tuple[PythonLayer, ...] = ()

    @property
    def is_index(self) -> bool:
        """Whether the image is an image index."""
        return self.media_type in INDEXES


@dataclass(frozen=True)
class ImageArtifact(BuiltPackageArtifact):
    """The artifact of an image, with the values that `publish` needs. `built` is never None."""

    built: Optional[BuiltImage] = None
    destinations: tuple[Destination, ...] = ()

    @property
    def image(self) -> BuiltImage:
        """The image."""
        assert self.built is not None
        return self.built


async def image_layout(image: BuiltImage, *, download: bool) -> Digest:
    """Return a tree with the OCI image layout of an image, without its `remote_layers`. See `layer_trees`."""
    trees = await layer_trees(image.layers, download=download)
    return await _compat.merge_digests(MergeDigests((image.documents, image.layout_files, *trees)))


def image_artifact(*packages: BuiltPackage) -> ImageArtifact:
    """Return the artifact of an image from the result of `package`."""
    return next(
        artifact for package in packages for artifact in package.artifacts if isinstance(artifact, ImageArtifact)
    )


async def resolve_images(
    field: AsyncFieldMixin, inputs: UnparsedAddressInputs, hint: str, *, indexes: bool = False
) -> tuple[Target, ...]:
    """Return the `container_image` targets with the addresses in `field`; with `indexes` also `image_index` targets.

    Raises TargetError with this hint if an address is the address of another target.
    """
    targets = await _compat.resolve_targets(inputs)
    for target in targets:
        if not target.has_field(ContainerImageDependenciesField) and not (indexes and target.has_field(ImagesField)):
            raise wrong_target_type(field.address, field.alias, target, "container_image", hint)
    return tuple(targets)


def build_field_set(target: Target) -> PackageFieldSet:
    """Return the field set whose package is the image of a `container_image` or the index of an `image_index`."""
    kind = BuildIndexFieldSet if target.has_field(ImagesField) else BuildImageFieldSet
    field_set: PackageFieldSet = kind.create(target)
    return field_set


async def build_image_of(target: Target) -> BuiltImage:
    """Return the image of a `container_image` or an `image_index`, with its published layers."""
    package = await _compat.build_package(EnvironmentAwarePackageRequest(build_field_set(target)))
    artifact = image_artifact(package)
    places = tuple((place.registry, place.repository) for place in artifact.destinations if not place.skip_push)
    published = dict(artifact.image.published_layers)
    for layer in artifact.image.layers:
        digest = str(layer.built.descriptor.digest)
        published[digest] = tuple(dict.fromkeys((*places, *published.get(digest, ()))))
    return replace(artifact.image, published_layers=FrozenDict(published))


async def resolve_image(field: SingleAddressField, hint: str) -> Target:
    """Return the `container_image` or `image_index` whose address is the value of `field`. See `resolve_images`."""
    await check_one_parametrization(field)
    (target,) = await resolve_images(field, field.to_unparsed_address_inputs(), hint, indexes=True)
    return target


async def find_image(field: SingleAddressField, hint: str) -> BuiltImage:
    """Return the image whose address is the value of `field`, with its published layers. See `resolve_image`."""
    return await build_image_of(await resolve_image(field, hint))
