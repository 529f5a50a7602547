"""Builds layers with the library in sandboxed processes, whose results Pants caches."""

import json
import logging
from dataclasses import dataclass
from typing import Optional

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
from pants.option.global_options import GlobalOptions

from dockless.errors import LayerError
from dockless.layer import InlineFile, LayerSpec, Source, source_date_epoch
from dockless.layer.compression import check_compression
from dockless.layer.spec import Listing, image_path
from pants_dockless import _compat
from pants_dockless.errors import TargetError, log_warning
from pants_dockless.subsystem import Dockless
from pants_dockless.target_types import (
    CompressionField,
    ContentDependenciesField,
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
from pants_dockless.util_rules.layer_contents import (
    RequestedBy,
    collect_dependencies,
    collect_entry,
    prefixes_to_strip,
    relative_root,
)
from pants_dockless.util_rules.layer_process import SPEC, Layer, LayerProcess, run_layer_process
from pants_dockless.util_rules.tools import layer_builder

logger = logging.getLogger(__name__)

_EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True)
class BuildContext:
    """What layers are built with.

    python               the interpreter
    default_compression  the compression of layers that name none
    keep_blobs           whether Pants stores the blobs of layers
    is_deferred          whether Pants leaves the outputs of processes in the remote cache until they are needed
    """

    python: SharedPython
    default_compression: str
    keep_blobs: bool
    is_deferred: bool

    @classmethod
    def create(cls, python: SharedPython, options: Dockless, global_options: GlobalOptions) -> "BuildContext":
        """Return the context for the options."""
        is_deferred = global_options.options.cache_content_behavior.value == "defer"
        return cls(python, options.default_compression, options.cache_layers, is_deferred)


@dataclass(frozen=True)
class LayerSources:
    """The sources of a layer, and the digests of the trees that contain them."""

    sources: tuple[Source, ...]
    trees: tuple[Digest, ...]


async def build_layer(
    target: Target, context: BuildContext, without: frozenset[Address] = frozenset()
) -> Optional[Layer]:
    """Build the layer of an `image_layer`, or the layer with the own content of a `container_image`.

    `without` are dependencies that are not in the layer. Returns None if the layer is empty. Raises TargetError.
    """
    sources = await _collect_sources(target, without)
    spec = await _layer_spec(target, sources.sources, context.default_compression)
    if spec._replace(compression="") == LayerSpec(compression=""):
        # The program that builds a layer checks the compression of other layers.
        try:
            check_compression(spec.compression)
        except LayerError as error:
            raise TargetError.from_error(target.address, None, error) from None
        return None
    spec_digest = await _compat.create_digest(
        CreateDigest([FileContent(SPEC, json.dumps(spec.to_json(), sort_keys=True).encode())])
    )
    process = LayerProcess(
        target.address,
        context.python,
        await layer_builder(spec),
        await _compat.merge_digests(MergeDigests((*sources.trees, spec_digest))),
        context.is_deferred,
    )
    layer = await run_layer_process(process, keep_blob=context.keep_blobs)
    for warning in layer.built.warnings:
        log_warning(logger, f"{target.address}: {warning}")
    return layer


async def _collect_sources(target: Target, without: frozenset[Address]) -> LayerSources:
    """Collect the content of a layer. Each content has its own directory, so that the library detects conflicts."""
    dependencies, entries = target[ContentDependenciesField], target[ContentsField]
    directory = _check_path(target.address, target[DirectoryField], target[DirectoryField].value)
    for path, _ in entries.pairs:
        _check_path(target.address, entries, path)
    contents, *contents_of_entries = await _compat.concurrently(
        (
            collect_dependencies(dependencies, without),
            *(collect_entry(entries, path, address) for path, address in entries.pairs),
        )
    )
    prefixes = prefixes_to_strip(
        target[StripPrefixField].value, contents, RequestedBy(target.address, StripPrefixField.alias)
    )
    # Each content, the one file of the content that is copied (or all files), the destination, and the prefix to strip.
    if directory != "/" and not contents:
        log_warning(
            logger,
            f"{target.address}: field `directory`: {directory!r} has no effect, because `dependencies` provide no "
            "file; for `contents`, write the directory in the path",
        )
    copies = [(content, "", directory.rstrip("/") + "/", prefix) for content, prefix in zip(contents, prefixes)]
    for (path, _), entry_contents in zip(entries.pairs, contents_of_entries):
        for content in entry_contents:
            if path.endswith("/"):
                copies.append((content, "", path, relative_root(content)))
            else:
                copies.append((content, content.files[0], path, ""))
    trees = await _compat.concurrently(
        _compat.add_prefix(AddPrefix(content.digest, f"in/{n}")) for n, (content, _, _, _) in enumerate(copies)
    )
    listings = await _compat.concurrently(list_tree(content.digest) for content, _, _, _ in copies)
    sources = tuple(
        Source(
            f"in/{n}/{file}" if file else f"in/{n}",
            destination,
            strip_prefix=prefix,
            origin=content.origin,
            listing=_listing_of_file(listings[n], file) if file else listings[n],
        )
        for n, (content, file, destination, prefix) in enumerate(copies)
    )
    return LayerSources(sources, tuple(trees))


async def list_tree(digest: Digest) -> Listing:
    """Return the entries of a tree. The library uses them instead of the metadata of the sandbox's file system."""
    entries = await _compat.digest_entries(digest)
    files = [entry for entry in entries if isinstance(entry, FileEntry)]
    return Listing(
        files=tuple(entry.path for entry in files),
        executables=tuple(entry.path for entry in files if entry.is_executable),
        symlinks={entry.path: entry.target for entry in entries if isinstance(entry, SymlinkEntry)},
        directories=tuple(entry.path for entry in entries if isinstance(entry, Directory)),
    )


def _listing_of_file(listing: Listing, file: str) -> Listing:
    """Return the listing of a source that consists of one file."""
    if file in listing.symlinks:
        return Listing(symlinks={"": listing.symlinks[file]})
    return Listing(("",), ("",) if file in listing.executables else ())


def _check_path(address: Address, field: Field, path: str) -> str:
    """Return `path` if it is a valid absolute path in the image. Raises TargetError."""
    try:
        if not path.startswith("/"):
            raise LayerError(f"`{field.alias}`: the path {path!r} is not absolute", hint="begin the path with /")
        image_path(path, field.alias)
    except LayerError as error:
        raise TargetError.from_error(address, None, error) from None
    return path


async def _layer_spec(target: Target, sources: tuple[Source, ...], default_compression: str) -> LayerSpec:
    """Return the description of the layer for the library."""
    # `get`, because a `container_image` has only some of these fields: the others have their defaults.
    for field in map(target.get, (SymlinksField, InlineFilesField, DirectoriesField, WhiteoutsField)):
        for path in field.value or ():
            _check_path(target.address, field, path)
    return LayerSpec(
        sources,
        ignores=target.get(IgnoresField).value or (),
        ignore_files=target.get(IgnoreFilesField).value or (),
        keep_ignore_files=target.get(KeepIgnoreFilesField).value,
        modes=dict(target.get(ModesField).value or {}),
        owner=target.get(OwnerField).value,
        owners=dict(target.get(OwnersField).value or {}),
        symlinks=dict(target.get(SymlinksField).value or {}),
        inline_files={path: InlineFile(text) for path, text in (target.get(InlineFilesField).value or {}).items()},
        directories=dict(target.get(DirectoriesField).value or {}),
        whiteouts=target.get(WhiteoutsField).value or (),
        mtime=await _modification_time(target.address, target.get(MtimeField)),
        compression=target[CompressionField].value or default_compression,
        follow_symlinks=target.get(FollowSymlinksField).value,
        hardlinks=target.get(HardlinksField).value,
    )


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise LayerError(
            f"{text!r:.50} is not a number of seconds",
            hint=f"write a whole number of seconds since 1970, or {_EPOCH!r}",
        )
    return source_date_epoch(text)


async def _modification_time(address: Address, field: MtimeField) -> int:
    """Return the modification time in seconds since 1970. Raises TargetError."""
    try:
        if field.value != _EPOCH:
            return _seconds(str(field.value))
        env = await _compat.environment_vars(EnvironmentVarsRequest((_EPOCH,)))
        if _EPOCH not in env:
            raise LayerError(f"{_EPOCH} is not set", hint="set the variable to a number of seconds since 1970")
        return source_date_epoch(env[_EPOCH])
    except LayerError as error:
        raise TargetError.from_error(address, field.alias, error) from None
