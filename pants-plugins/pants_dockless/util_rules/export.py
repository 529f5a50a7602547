"""Writes images in the forms that `package` writes to dist: a complete OCI layout or an archive."""

import json
from typing import Optional, Union

from pants.engine.addresses import Address
from pants.engine.fs import EMPTY_DIGEST, AddPrefix, CreateDigest, Digest, FileContent, FileEntry, MergeDigests
from pants.util.frozendict import FrozenDict

from dockless.errors import DocklessError
from dockless.oci.reference import Reference
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.field_sets import ContainerImageFieldSet, ImageIndexFieldSet
from pants_dockless.subsystem import Dockless
from pants_dockless.util_rules.built_image import BuiltImage, image_layout
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.layer import BuildContext
from pants_dockless.util_rules.processes import check_blobs, output_missing, run_builder, run_registry_client
from pants_dockless.util_rules.tools import EXPORT_IMAGE, archive_writer

_FETCH_LAYERS = "fetch_layers.py"
_PLAN = "plan.json"
_ARCHIVE = "image.tar"
# Pants keeps this directory between runs. All images share it, so that each layer is downloaded once.
_CACHE = FrozenDict({"dockless_blobs": ".dockless-blobs"})
_BLOBS = "blobs/sha256"


async def export_image(
    field_set: Union[ContainerImageFieldSet, ImageIndexFieldSet],
    image: BuiltImage,
    destinations: tuple[Destination, ...],
    context: BuildContext,
    options: Dockless,
) -> Digest:
    """Return the tree for the field `output`: an OCI layout, the file `image.tar`, or nothing for `metadata`."""
    address, output = field_set.address, field_set.output.value
    if output == "metadata":
        return EMPTY_DIGEST
    # `publish` packages the target too, but does not write the output to dist.
    download = context.is_deferred and not await _compat.is_requested("publish")
    if output == "oci-layout" and not field_set.include_base_layers.value:
        return await image_layout(image, download=download)
    if output == "docker-archive" and len(image.images) > 1:
        raise TargetError(
            address,
            field_set.output.alias,
            "a docker-archive contains only one platform",
            cause=f"the image has {len(image.images)} platforms",
            hint="use `oci-archive` or a single platform",
        )
    layout = await complete_layout(address, image, options, download=download)
    if output == "oci-layout":
        return layout
    return await _write_archive(address, layout, output, archive_names(address, destinations), context)


async def place_output(exported: Digest, path: str, is_archive: bool) -> tuple[Digest, Optional[str]]:
    """Return the tree for dist, and the path that Pants reports.

    The path is the directory of a layout or the file of an archive. For an empty tree there is no path.
    """
    if exported == EMPTY_DIGEST:
        return exported, None
    if not is_archive:
        return await _compat.add_prefix(AddPrefix(exported, path)), path
    directory, _, name = path.rpartition("/")
    entries = await _compat.digest_entries(exported)
    tree = await _compat.create_digest(
        CreateDigest([FileEntry(name, entry.file_digest) for entry in entries if isinstance(entry, FileEntry)])
    )
    return await _compat.add_prefix(AddPrefix(tree, directory)) if directory else tree, path


async def complete_layout(address: Address, image: BuiltImage, options: Dockless, *, download: bool) -> Digest:
    """Return the OCI layout of an image with the layers of its base, which are downloaded."""
    layout = await image_layout(image, download=download)
    if not image.remote_layers:
        return layout
    plan = {
        "insecure": sorted(options.insecure_registries()),
        "layers": [
            {
                "digest": layer.digest,
                "size": layer.size,
                "urls": layer.urls,
                "registry": layer.registry,
                "repository": layer.repository,
            }
            for layer in image.remote_layers
        ],
        "cache": _CACHE["dockless_blobs"],
        "blobs": _BLOBS,
    }
    # The program may use credentials. Therefore Pants does not cache its result; the program caches the layers.
    output = await run_registry_client(
        address,
        f"Download the base layers of {address}",
        _FETCH_LAYERS,
        plan,
        options,
        append_only_caches=_CACHE,
        output_directories=(_BLOBS,),
    )
    sizes = {layer.digest: layer.size for layer in image.remote_layers}
    await check_blobs(address, output.digest, sizes, "the download of the base layers")
    return await _compat.merge_digests(MergeDigests((layout, output.digest)))


async def _write_archive(
    address: Address, layout: Digest, archive_format: str, references: tuple[str, ...], context: BuildContext
) -> Digest:
    """Return a tree with the file `image.tar`: the layout as an `oci-archive` or a `docker-archive`."""
    plan = {"layout": "image", "format": archive_format, "archive": _ARCHIVE, "references": references}
    plan_digest = await _compat.create_digest(CreateDigest([FileContent(_PLAN, json.dumps(plan).encode())]))
    layout = await _compat.add_prefix(AddPrefix(layout, "image"))
    output = await run_builder(
        address,
        f"Write the archive of {address}",
        context.python,
        await archive_writer(),
        (EXPORT_IMAGE, _PLAN),
        await _compat.merge_digests(MergeDigests((plan_digest, layout))),
        output_files=(_ARCHIVE,),
    )
    size = json.loads(output.stdout)["size"]
    entries = await _compat.digest_entries(output.digest)
    files = [(e.path, e.file_digest.serialized_bytes_length) for e in entries if isinstance(e, FileEntry)]
    if files != [(_ARCHIVE, size)]:
        raise output_missing(address, f"{_ARCHIVE} of {size} bytes", "the process that writes the archive")
    return output.digest


def archive_names(address: Address, destinations: tuple[Destination, ...]) -> tuple[str, ...]:
    """Return the names of the image when the archive is loaded: its references or, without any, the target's name."""
    references = tuple(reference for destination in destinations for reference in destination.references)
    try:
        return references or (str(Reference.parse(f"{address.target_name}:latest")),)
    except DocklessError:
        return ()
