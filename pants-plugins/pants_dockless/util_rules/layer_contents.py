"""Collects the content of a layer: files and packages, separately for each target that provides them."""

import logging
from dataclasses import dataclass
from typing import Optional

from pants.core.goals.package import EnvironmentAwarePackageRequest, PackageFieldSet
from pants.core.target_types import FileSourceField, GenericTarget, ResourceSourceField
from pants.engine.addresses import Address
from pants.engine.fs import Digest, MergeDigests
from pants.engine.target import (
    Dependencies,
    DependenciesRequest,
    FieldSetsPerTargetRequest,
    HydrateSourcesRequest,
    SourcesField,
    Target,
    Targets,
)

from pants_dockless import _compat
from pants_dockless.errors import TargetError, log_warning
from pants_dockless.target_types import (
    ContainerImageDependenciesField,
    ContentDependenciesField,
    ContentsField,
    ImageField,
    ImageLayerDependenciesField,
    ImagesField,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Content:
    """A tree of files, and the address of the target that provides the tree.

    `directory` is the directory of the target's BUILD file, or of the output of a package.
    """

    digest: Digest
    files: tuple[str, ...]
    origin: str
    directory: str


@dataclass(frozen=True)
class RequestedBy:
    """The field for which content is collected; used in error messages."""

    address: Address
    field: str

    def error(self, problem: str, *, cause: str = "", hint: str = "") -> TargetError:
        """Return an error of this field."""
        return TargetError(self.address, self.field, problem, cause=cause, hint=hint)


@dataclass(frozen=True)
class ContentTargets:
    """The targets that provide content: the field sets of packages, and targets with source files.

    visited    all targets, in the order in which they were found
    requested  the targets that a field names, directly or through `target` targets
    """

    packages: tuple[tuple[Address, PackageFieldSet], ...]
    sources: tuple[Target, ...]
    visited: tuple[Target, ...]
    requested: frozenset[Address]


async def collect_dependencies(
    field: ContentDependenciesField, without: frozenset[Address] = frozenset()
) -> tuple[Content, ...]:
    """Collect the content of the field `dependencies`, apart from the targets `without`. Raises TargetError."""
    targets = await _compat.resolve_dependencies(DependenciesRequest(field))
    targets = Targets(target for target in targets if target.address not in without)
    return await _collect(RequestedBy(field.address, field.alias), targets)


async def collect_entry(field: ContentsField, path: str, address: str) -> tuple[Content, ...]:
    """Collect the content of an entry of the field `contents`. Raises TargetError."""
    requested_by = RequestedBy(field.address, field.alias)
    contents = await _collect(requested_by, await _compat.resolve_targets(field.inputs_of(address)))
    count = sum(len(content.files) for content in contents)
    if not path.endswith("/") and count != 1:
        raise requested_by.error(
            f"the path {path!r} requires exactly one file, but {address} provides {count} files",
            hint="add a trailing slash to copy the files to this directory",
        )
    return contents


async def _collect(requested_by: RequestedBy, direct: Targets) -> tuple[Content, ...]:
    """Return the content of targets and of their dependencies, sorted by address.

    Raises TargetError if one of the targets in `direct`, or one that they only group, provides no file. Logs a warning
    for the other targets that provide no file.
    """
    targets = await _find_content_targets(requested_by, direct)
    contents = await _compat.concurrently(
        (
            *(_package_content(address, field_set) for address, field_set in targets.packages),
            *(_source_content(target) for target in targets.sources),
        )
    )
    addresses = [*(address for address, _ in targets.packages), *(target.address for target in targets.sources)]
    providers = set()
    by_origin: dict[str, list[Content]] = {}
    for address, content in zip(addresses, contents):
        if content.files:
            by_origin.setdefault(content.origin, []).append(content)
            providers.add(address)
    for target in targets.visited:
        if target.address not in providers and not isinstance(target, GenericTarget):
            _report_empty(requested_by, target, is_requested=target.address in targets.requested)
    return await _compat.concurrently(_merge(tuple(parts)) for _, parts in sorted(by_origin.items()))


def _report_empty(requested_by: RequestedBy, target: Target, *, is_requested: bool) -> None:
    problem = f"the target {target.address} of the type `{target.alias}` provides no file"
    if is_requested:
        raise requested_by.error(problem, hint="depend on files, resources or a package such as pex_binary or archive")
    log_warning(
        logger,
        f"{requested_by.address}: field `{requested_by.field}`: {problem}: it is a dependency of a file in the layer, "
        "and is not in the layer",
    )


async def _find_content_targets(requested_by: RequestedBy, targets: Targets) -> ContentTargets:
    """Return `targets` and their transitive dependencies, apart from the dependencies of packages."""
    packages: list[tuple[Address, PackageFieldSet]] = []
    sources: list[Target] = []
    visited: dict[Address, Target] = {}
    requested = {target.address for target in targets}
    while targets:
        new = Targets(target for target in targets if target.address not in visited)
        visited.update((target.address, target) for target in new)
        applicable = await _compat.field_sets_per_target(FieldSetsPerTargetRequest(PackageFieldSet, new))
        dependencies = []
        for target, field_sets in zip(new, applicable.collection):
            _check_content_type(requested_by, target)
            if field_sets:
                packages.extend((target.address, field_set) for field_set in field_sets)
                continue
            if target.has_field(SourcesField):
                sources.append(target)
            if target.has_field(Dependencies):
                dependencies.append(target.get(Dependencies))
        resolved = await _compat.concurrently(
            _compat.resolve_dependencies(DependenciesRequest(field)) for field in dependencies
        )
        for field, found in zip(dependencies, resolved):
            if field.address in requested and isinstance(visited[field.address], GenericTarget):
                requested.update(target.address for target in found)
        targets = Targets(target for found in resolved for target in found)
    return ContentTargets(
        tuple(sorted(packages, key=lambda p: (p[0], type(p[1]).__name__))),
        tuple(sorted(sources, key=lambda t: t.address)),
        tuple(visited.values()),
        frozenset(requested),
    )


def _check_content_type(requested_by: RequestedBy, target: Target) -> None:
    if target.has_field(ImageLayerDependenciesField):
        raise requested_by.error(
            f"the target {target.address} has the type `{target.alias}`", hint="move the address to `layers`"
        )
    is_image = any(map(target.has_field, (ContainerImageDependenciesField, ImagesField, ImageField)))
    # By its name, because the Docker backend may not be enabled. Its package is only a description of the image.
    if is_image or target.alias == "docker_image":
        raise requested_by.error(
            f"the target {target.address} has the type `{target.alias}`, which cannot be the content of a layer",
            hint="use the addresses of the files and packages in the image",
        )


async def _source_content(target: Target) -> Content:
    hydrated = await _compat.hydrate_sources(
        HydrateSourcesRequest(
            target.get(SourcesField), for_sources_types=(FileSourceField, ResourceSourceField), enable_codegen=True
        )
    )
    # All files of a target generator are one content, so that the sandbox has one directory for them.
    origin = str(target.address.maybe_convert_to_target_generator())
    snapshot = hydrated.snapshot
    return Content(snapshot.digest, tuple(snapshot.files), origin, target.address.spec_path)


async def _package_content(address: Address, field_set: PackageFieldSet) -> Content:
    package = await _compat.build_package(EnvironmentAwarePackageRequest(field_set))
    snapshot = await _compat.snapshot(package.digest)
    paths = [artifact.relpath for artifact in package.artifacts if artifact.relpath]
    directory = paths[0].rpartition("/")[0] if paths else ""
    return Content(package.digest, tuple(snapshot.files), str(address), directory)


async def _merge(contents: tuple[Content, ...]) -> Content:
    digest = await _compat.merge_digests(MergeDigests(content.digest for content in contents))
    files = tuple(sorted({path for content in contents for path in content.files}))
    return Content(digest, files, contents[0].origin, contents[0].directory)


def relative_root(content: Content) -> str:
    """Return the directory that paths in a directory of `contents` are relative to.

    The directory of the content if all files are below this directory; otherwise an empty string, the build root.
    """
    is_below = all(path.startswith(f"{content.directory}/") for path in content.files)
    return content.directory if content.directory and is_below else ""


def prefixes_to_strip(
    strip_prefix: Optional[str], contents: tuple[Content, ...], requested_by: RequestedBy
) -> tuple[str, ...]:
    """Return the prefix to remove from the paths of each content: `strip_prefix`, or an empty string.

    Raises TargetError if no content has the prefix, or if only some files of a content have the prefix.
    """
    if not strip_prefix:
        return ("",) * len(contents)
    prefix = strip_prefix.strip("/")
    prefixes = []
    for content in contents:
        matching = [path for path in content.files if path.startswith(f"{prefix}/")]
        if matching and len(matching) != len(content.files):
            other = next(path for path in content.files if path not in matching)
            raise requested_by.error(
                f"the path {other} of {content.origin} does not begin with {prefix}/", hint="use a shorter prefix"
            )
        prefixes.append(prefix if matching else "")
    if contents and not any(prefixes):
        raise requested_by.error(
            f"no path begins with {prefix}/", hint=f"use a prefix of the paths, such as {contents[0].files[0]}"
        )
    return tuple(prefixes)
