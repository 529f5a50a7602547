"""What a layer's `dependencies` give: files and packages, each kept apart with the address it came from."""

from dataclasses import dataclass

from pants.core.goals.package import EnvironmentAwarePackageRequest, PackageFieldSet
from pants.core.target_types import FileSourceField, ResourceSourceField
from pants.engine.addresses import Address
from pants.engine.fs import EMPTY_DIGEST, Digest, MergeDigests
from pants.engine.target import (
    Dependencies,
    DependenciesRequest,
    FieldSetsPerTargetRequest,
    HydrateSourcesRequest,
    SourcesField,
    Target,
    Targets,
)

from pants_dockless import engine
from pants_dockless.errors import TargetError
from pants_dockless.target_types import ContentField, ImageContentField, ImageField, LayerContentField


@dataclass(frozen=True)
class Content:
    """A tree of files and the address that gives it."""

    digest: Digest
    origin: str


@dataclass(frozen=True)
class ContentTargets:
    """The targets that content is taken from: packages whole, others by their sources."""

    packages: tuple[tuple[Address, PackageFieldSet], ...]
    sources: tuple[Target, ...]


async def find_content_targets(field: ContentField) -> ContentTargets:
    """The targets reached from `field`. A package is a leaf: what it depends on is inside it."""
    packages = []
    sources = []
    seen = set()
    wanted = await engine.resolve_dependencies(DependenciesRequest(field))
    while wanted:
        new = Targets(target for target in wanted if target.address not in seen)
        seen.update(target.address for target in new)
        found = await engine.field_sets_per_target(FieldSetsPerTargetRequest(PackageFieldSet, new))
        onward = []
        for target, field_sets in zip(new, found.collection):
            _refuse_images(field, target)
            if field_sets:
                packages.extend((target.address, field_set) for field_set in field_sets)
                continue
            if target.has_field(SourcesField):
                sources.append(target)
            if target.has_field(Dependencies):
                onward.append(target.get(Dependencies))
        wanted = Targets(
            target
            for targets in await engine.concurrently(
                engine.resolve_dependencies(DependenciesRequest(dependencies)) for dependencies in onward
            )
            for target in targets
        )
    return ContentTargets(
        tuple(sorted(packages, key=lambda p: (p[0], type(p[1]).__name__))),
        tuple(sorted(sources, key=lambda t: t.address)),
    )


def _refuse_images(field: ContentField, target: Target) -> None:
    if target.has_field(LayerContentField):
        raise TargetError(field.address, field.alias, f"{target.address} is a layer", hint="put it in `layers`")
    if target.has_field(ImageContentField) or target.has_field(ImageField):
        raise TargetError(
            field.address,
            field.alias,
            f"{target.address} is a {target.alias}",
            hint="depend on what is inside it instead",
        )


async def hydrate_content(target: Target) -> Content:
    hydrated = await engine.hydrate_sources(
        HydrateSourcesRequest(
            target.get(SourcesField), for_sources_types=(FileSourceField, ResourceSourceField), enable_codegen=True
        )
    )
    # The files of one generator come as one source: a thousand files are not a thousand folders in the sandbox.
    # Moved files may leave an empty folder where there are none.
    digest = hydrated.snapshot.digest if hydrated.snapshot.files else EMPTY_DIGEST
    return Content(digest, str(target.address.maybe_convert_to_target_generator()))


async def package_content(address: Address, field_set: PackageFieldSet) -> Content:
    package = await engine.build_package(EnvironmentAwarePackageRequest(field_set))
    return Content(package.digest, str(address))


async def merge_content(origin: str, digests: tuple[Digest, ...]) -> Content:
    return Content(await engine.merge_digests(MergeDigests(digests)), origin)


async def collect_content(field: ContentField) -> tuple:
    """All that `field` gives, a `Content` for each origin, in the order of their addresses.

    Raises TargetError for a direct dependency that gives nothing: it was meant to give something.
    """
    targets = await find_content_targets(field)
    contents = await engine.concurrently(
        (
            *(package_content(address, field_set) for address, field_set in targets.packages),
            *(hydrate_content(target) for target in targets.sources),
        )
    )
    direct = {target.address: target for target in await engine.resolve_dependencies(DependenciesRequest(field))}
    givers = [*(address for address, _ in targets.packages), *(target.address for target in targets.sources)]
    by_origin = {}
    for address, content in zip(givers, contents):
        if content.digest != EMPTY_DIGEST:
            by_origin.setdefault(content.origin, []).append(content.digest)
        elif address in direct:
            raise TargetError(
                field.address,
                field.alias,
                f"{address} ({direct[address].alias}) gives no file",
                hint="depend on files, resources or a package such as pex_binary or archive",
            )
    for address, target in direct.items():
        if address not in givers and not target.has_field(Dependencies):
            raise TargetError(
                field.address,
                field.alias,
                f"{address} ({target.alias}) gives no file",
                hint="depend on files, resources or a package such as pex_binary or archive",
            )
    return await engine.concurrently(
        merge_content(origin, tuple(digests)) for origin, digests in sorted(by_origin.items())
    )
