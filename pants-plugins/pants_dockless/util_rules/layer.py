"""Layers: built by the library in a sandboxed process, so that Pants caches them."""

import json
import logging
from dataclasses import dataclass

from pants.core.util_rules.adhoc_binaries import PythonBuildStandaloneBinary
from pants.engine.addresses import Address
from pants.engine.env_vars import EnvironmentVarsRequest
from pants.engine.fs import (
    AddPrefix,
    CreateDigest,
    Digest,
    Directory,
    FileContent,
    FileEntry,
    MergeDigests,
    SymlinkEntry,
)
from pants.engine.target import Field, Target

from dockless.errors import LayerError
from dockless.layer import BuiltLayer, InlineFile, LayerSpec, Source, source_date_epoch
from dockless.layer.spec import Listing, image_path
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.target_types import (
    CompressionField,
    ContentField,
    ContentsField,
    DirectoriesField,
    DirectoryField,
    FollowSymlinksField,
    HardlinksField,
    IgnoreFilesField,
    IgnoresField,
    InlineFilesField,
    KeepIgnoreFilesField,
    ModesField,
    MtimeField,
    OwnerField,
    OwnersField,
    StripPrefixField,
    SymlinksField,
    WhiteoutsField,
)
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.layer_contents import Asked, collect_content, collect_named, common_folder, stripped
from pants_dockless.util_rules.processes import check_blobs, run_builder
from pants_dockless.util_rules.tools import BUILD_LAYER, Tools

logger = logging.getLogger(__name__)

_SPEC = "layer.json"
_BLOBS = "blobs/sha256"
_EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True)
class Layer:
    """A layer and the digest of a tree that holds its blob as an OCI layout does."""

    built: BuiltLayer
    digest: Digest


@dataclass(frozen=True)
class BuildContext:
    """The interpreters and programs that build images.

    `python` runs cached processes, `client_python` those that speak to registries.
    """

    python: SharedPython
    client_python: PythonBuildStandaloneBinary
    tools: Tools
    default_compression: str


@dataclass(frozen=True)
class Sources:
    """The sources of a layer, and the trees they are in."""

    sources: tuple[Source, ...]
    trees: tuple[Digest, ...]


async def gather_sources(target: Target) -> Sources:
    """Each content in a folder of its own, so that what collides is told apart, and where it goes in the image."""
    field, named = target[ContentField], target[ContentsField]
    contents = await collect_content(field)
    directory = _place(target.address, target[DirectoryField], target[DirectoryField].value)
    prefixes = stripped(target[StripPrefixField].value, contents, Asked(target.address, StripPrefixField.alias))
    found = [(content, "", directory.rstrip("/") + "/", prefix) for content, prefix in zip(contents, prefixes)]
    for path, given in named.pairs:
        _place(target.address, named, path)
        for content in await collect_named(named, path, given):
            if path.endswith("/"):
                found.append((content, "", path, common_folder(content)))
            else:
                found.append((content, content.files[0], path, ""))
    trees = await _compat.concurrently(
        _compat.add_prefix(AddPrefix(content.digest, f"in/{n}")) for n, (content, _, _, _) in enumerate(found)
    )
    listings = await _compat.concurrently(list_content(content.digest) for content, _, _, _ in found)
    sources = tuple(
        Source(
            f"in/{n}/{file}" if file else f"in/{n}",
            destination,
            strip_prefix=prefix,
            origin=content.origin,
            listing=_only(listings[n], file) if file else listings[n],
        )
        for n, (content, file, destination, prefix) in enumerate(found)
    )
    return Sources(sources, tuple(trees))


async def list_content(digest: Digest) -> Listing:
    """Return what a tree says about itself: the sandbox's file system is not asked."""
    entries = await _compat.digest_entries(digest)
    files = [entry for entry in entries if isinstance(entry, FileEntry)]
    return Listing(
        files=tuple(entry.path for entry in files),
        executables=tuple(entry.path for entry in files if entry.is_executable),
        symlinks={entry.path: entry.target for entry in entries if isinstance(entry, SymlinkEntry)},
        directories=tuple(entry.path for entry in entries if isinstance(entry, Directory)),
    )


def _only(listing: Listing, file: str) -> Listing:
    """Return the listing of a source that is the one file `file`."""
    if file in listing.symlinks:
        return Listing(symlinks={"": listing.symlinks[file]})
    return Listing(("",), ("",) if file in listing.executables else ())


def _place(address: Address, field: Field, path: str) -> str:
    """`path`, if it says where in the image something goes. Raises TargetError."""
    try:
        if not path.startswith("/"):
            raise LayerError(f"`{field.alias}`: the path {path!r} is not absolute", hint="begin it with /")
        image_path(path, field.alias)
    except LayerError as error:
        raise TargetError.of(address, None, error) from None
    return path


async def modification_time(address: Address, field: MtimeField) -> int:
    """The time that the field says, out of the environment if it says so. Raises TargetError."""
    try:
        if field.value != _EPOCH:
            return source_date_epoch(field.value or "0")
        env = await _compat.environment_vars(EnvironmentVarsRequest((_EPOCH,)))
        if _EPOCH not in env:
            raise LayerError(f"{_EPOCH} is not set", hint="set it to seconds since 1970")
        return source_date_epoch(env[_EPOCH])
    except LayerError as error:
        raise TargetError.of(address, field.alias, error) from None


async def describe_layer(target: Target, sources: tuple, default_compression: str) -> LayerSpec:
    """The library's description of the layer that a target's fields make."""
    compression = target[CompressionField].value or default_compression
    if not target.has_field(ModesField):
        return LayerSpec(sources, compression=compression)
    return LayerSpec(
        sources,
        ignores=target[IgnoresField].value or (),
        ignore_files=target[IgnoreFilesField].value or (),
        keep_ignore_files=target[KeepIgnoreFilesField].value,
        modes=dict(target[ModesField].value or {}),
        owner=target[OwnerField].value or "0:0",
        owners=dict(target[OwnersField].value or {}),
        symlinks=dict(target[SymlinksField].value or {}),
        inline_files={path: InlineFile(text) for path, text in (target[InlineFilesField].value or {}).items()},
        directories=dict(target[DirectoriesField].value or {}),
        whiteouts=target[WhiteoutsField].value or (),
        mtime=await modification_time(target.address, target[MtimeField]),
        compression=compression,
        follow_symlinks=target[FollowSymlinksField].value,
        hardlinks=target[HardlinksField].value,
    )


async def build_layer(target: Target, context: BuildContext) -> tuple:
    """The layer of an `image_layer`, or the implicit one of a `container_image`.

    A tuple of one `Layer`, or of none where nothing is to be in it.
    """
    sources = await gather_sources(target)
    spec = await describe_layer(target, sources.sources, context.default_compression)
    if spec._replace(compression="") == LayerSpec(compression=""):
        return ()
    spec_digest = await _compat.create_digest(
        CreateDigest([FileContent(_SPEC, json.dumps(spec.to_json(), sort_keys=True).encode())])
    )
    output = await run_builder(
        target.address,
        f"Build the layer of {target.address}",
        context.python,
        context.tools.for_layer(spec),
        (BUILD_LAYER, _SPEC, _BLOBS),
        await _compat.merge_digests(MergeDigests((*sources.trees, spec_digest))),
        # Not `blobs`: some caches want each directory inside an output directory as a blob, which Pants does not send.
        output_directories=(_BLOBS,),
    )
    built = BuiltLayer.from_json(json.loads(output.stdout))
    descriptor = built.descriptor
    await check_blobs(
        target.address, output.digest, {str(descriptor.digest): descriptor.size}, "the process that builds the layer"
    )
    for warning in built.warnings:
        logger.warning(f"{target.address}: {warning}")
    return (Layer(built, output.digest),)
