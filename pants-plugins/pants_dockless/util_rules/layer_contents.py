"""What a layer is made of: files and packages, each kept apart with the address it came from."""

from dataclasses import dataclass
from typing import Optional

from pants.core.goals.package import EnvironmentAwarePackageRequest, PackageFieldSet
from pants.core.target_types import FileSourceField, ResourceSourceField
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
from pants_dockless.errors import TargetError
from pants_dockless.target_types import ContentField, ContentsField, ImageContentField, ImageField, LayerContentField


@dataclass(frozen=True)
class Content:
    """A tree of files, the address that gives it, and the folder that the address lies in."""

    digest: Digest
    files: tuple[str, ...]
    origin: str
    folder: str


@dataclass(frozen=True)
class Asked:
    """Who wants content, to be named in errors."""

    address: Address
    field: str

    def error(self, problem: str, *, cause: str = "", hint: str = "") -> TargetError:
        return TargetError(self.address, self.field, problem, cause=cause, hint=hint)


@dataclass(frozen=True)
class ContentTargets:
    """The targets that content is taken from: packages whole, others by their sources."""

    packages: tuple[tuple[Address, PackageFieldSet], ...]
    sources: tuple[Target, ...]


async def find_content_targets(asked: Asked, wanted: Targets) -> ContentTargets:
    """`wanted` and what is reached from them. A package is a leaf: what it depends on is inside it."""
    packages = []
    sources = []
    seen = set()
    while wanted:
        new = Targets(target for target in wanted if target.address not in seen)
        seen.update(target.address for target in new)
        found = await _compat.field_sets_per_target(FieldSetsPerTargetRequest(PackageFieldSet, new))
        onward = []
        for target, field_sets in zip(new, found.collection):
            _refuse_images(asked, target)
            if field_sets:
                packages.extend((target.address, field_set) for field_set in field_sets)
                continue
            if target.has_field(SourcesField):
                sources.append(target)
            if target.has_field(Dependencies):
                onward.append(target.get(Dependencies))
        wanted = Targets(
            target
            for targets in await _compat.concurrently(
                _compat.resolve_dependencies(DependenciesRequest(dependencies)) for dependencies in onward
            )
            for target in targets
        )
    return ContentTargets(
        tuple(sorted(packages, key=lambda p: (p[0], type(p[1]).__name__))),
        tuple(sorted(sources, key=lambda t: t.address)),
    )


def _refuse_images(asked: Asked, target: Target) -> None:
    if target.has_field(LayerContentField):
        raise asked.error(f"{target.address} is a layer", hint="put it in `layers`")
    if target.has_field(ImageContentField) or target.has_field(ImageField):
        raise asked.error(f"{target.address} is a {target.alias}", hint="depend on what is inside it instead")


async def hydrate_content(target: Target) -> Content:
    hydrated = await _compat.hydrate_sources(
        HydrateSourcesRequest(
            target.get(SourcesField), for_sources_types=(FileSourceField, ResourceSourceField), enable_codegen=True
        )
    )
    # The files of one generator come as one source: a thousand files are not a thousand folders in the sandbox.
    origin = str(target.address.maybe_convert_to_target_generator())
    snapshot = hydrated.snapshot
    return Content(snapshot.digest, tuple(snapshot.files), origin, target.address.spec_path)


async def package_content(address: Address, field_set: PackageFieldSet) -> Content:
    package = await _compat.build_package(EnvironmentAwarePackageRequest(field_set))
    snapshot = await _compat.snapshot(package.digest)
    paths = [artifact.relpath for artifact in package.artifacts if artifact.relpath]
    folder = paths[0].rpartition("/")[0] if paths else ""
    return Content(package.digest, tuple(snapshot.files), str(address), folder)


async def merge_content(contents: tuple[Content, ...]) -> Content:
    digest = await _compat.merge_digests(MergeDigests(content.digest for content in contents))
    files = tuple(sorted({path for content in contents for path in content.files}))
    return Content(digest, files, contents[0].origin, contents[0].folder)


async def content_of(asked: Asked, direct: Targets) -> tuple:
    """All that these targets give, a `Content` for each origin, in the order of their addresses.

    Raises TargetError for one of them that gives nothing: it was meant to give something.
    """
    targets = await find_content_targets(asked, direct)
    contents = await _compat.concurrently(
        (
            *(package_content(address, field_set) for address, field_set in targets.packages),
            *(hydrate_content(target) for target in targets.sources),
        )
    )
    givers = [*(address for address, _ in targets.packages), *(target.address for target in targets.sources)]
    by_origin = {}
    empty = set()
    for address, content in zip(givers, contents):
        if content.files:
            by_origin.setdefault(content.origin, []).append(content)
        else:
            empty.add(address)
    for target in direct:
        if target.address in empty or (target.address not in givers and not target.has_field(Dependencies)):
            raise asked.error(
                f"{target.address} ({target.alias}) gives no file",
                hint="depend on files, resources or a package such as pex_binary or archive",
            )
    return await _compat.concurrently(merge_content(tuple(found)) for _, found in sorted(by_origin.items()))


async def collect_content(field: ContentField) -> tuple:
    """What `dependencies` gives."""
    asked = Asked(field.address, field.alias)
    return await content_of(asked, await _compat.resolve_dependencies(DependenciesRequest(field)))


async def collect_named(field: ContentsField, path: str, given: str) -> tuple:
    """What one entry of `contents` gives."""
    asked = Asked(field.address, field.alias)
    found = await content_of(asked, await _compat.resolve_targets(field.inputs_of(given)))
    if not path.endswith("/") and sum(len(content.files) for content in found) != 1:
        raise asked.error(
            f"{path!r} is to be one file, and {given} gives {sum(len(content.files) for content in found)}",
            hint="write a trailing slash to put them into that folder",
        )
    return found


def common_folder(content: Content) -> str:
    """The folder that the files of a content are counted from in `contents`: their BUILD file's, if they are in it."""
    inside = all(path.startswith(f"{content.folder}/") for path in content.files)
    return content.folder if content.folder and inside else ""


def stripped(field: Optional[str], contents: tuple[Content, ...], asked: Asked) -> tuple[str, ...]:
    """The prefix to strip from each content. Raises TargetError for one that fits nothing, or a part of a content."""
    if not field:
        return ("",) * len(contents)
    prefix = field.strip("/")
    found = []
    for content in contents:
        fitting = [path for path in content.files if path.startswith(f"{prefix}/")]
        if fitting and len(fitting) != len(content.files):
            other = next(path for path in content.files if path not in fitting)
            raise asked.error(f"{other} of {content.origin} does not begin with {prefix}/", hint="shorten the prefix")
        found.append(prefix if fitting else "")
    if contents and not any(found):
        raise asked.error(f"no path begins with {prefix}/", hint=f"paths are such as {contents[0].files[0]}")
    return tuple(found)
