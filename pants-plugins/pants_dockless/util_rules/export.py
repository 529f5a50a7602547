"""Images in the forms that runtimes load: with all their layers, as a layout or as an archive."""

import json

from pants.core.util_rules.adhoc_binaries import PythonBuildStandaloneBinary
from pants.engine.addresses import Address
from pants.engine.fs import EMPTY_DIGEST, AddPrefix, CreateDigest, Digest, FileContent, MergeDigests
from pants.util.frozendict import FrozenDict

from dockless.errors import DocklessError
from dockless.oci.reference import Reference
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.subsystem import Dockless
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.image import BuiltImage
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.layer import BuildContext
from pants_dockless.util_rules.processes import check_blobs, output_missing, run_builder, run_registry_client
from pants_dockless.util_rules.tools import EXPORT_IMAGE, Tools

_FETCH = "fetch_layers.py"
_PLAN = "plan.json"
_ARCHIVE = "image.tar"
# Kept between runs by Pants, for all images: a layer is fetched once.
_CACHE = FrozenDict({"dockless_blobs": ".dockless-blobs"})
_BLOBS = "blobs/sha256"


async def complete_layout(
    address: Address, image: BuiltImage, python: PythonBuildStandaloneBinary, options: Dockless
) -> Digest:
    """The image's OCI layout with the layers of its base, which are fetched: the one use of the network here."""
    if not image.remote:
        return image.layout
    plan = {
        "layers": [
            {
                "digest": layer.digest,
                "size": layer.size,
                "urls": layer.urls,
                "registry": layer.registry,
                "repository": layer.repository,
                "insecure": options.is_insecure(layer.registry),
            }
            for layer in image.remote
        ],
        "cache": _CACHE["dockless_blobs"],
        "blobs": _BLOBS,
    }
    # The program may need credentials: its result is not cached, the layers that it downloads are.
    output = await run_registry_client(
        address,
        f"Fetch the base layers of {address}",
        python,
        _FETCH,
        plan,
        options,
        append_only_caches=_CACHE,
        output_directories=(_BLOBS,),
    )
    await check_blobs(
        address, output.digest, {layer.digest: layer.size for layer in image.remote}, "the download of the base layers"
    )
    return await _compat.merge_digests(MergeDigests((image.layout, output.digest)))


async def export_archive(
    address: Address,
    layout: Digest,
    kind: str,
    names: tuple[str, ...],
    python: SharedPython,
    tools: Tools,
) -> Digest:
    """Return a tree of one file, `image.tar`: the layout as an `oci-archive` or a `docker-archive`."""
    plan = {"layout": "image", "kind": kind, "archive": _ARCHIVE, "references": names}
    plan_file = await _compat.create_digest(CreateDigest([FileContent(_PLAN, json.dumps(plan).encode())]))
    output = await run_builder(
        address,
        f"Write the archive of {address}",
        python,
        tools.export,
        (EXPORT_IMAGE, _PLAN),
        await _compat.merge_digests(MergeDigests((plan_file, await _compat.add_prefix(AddPrefix(layout, "image"))))),
        output_files=(_ARCHIVE,),
    )
    size = json.loads(output.stdout)["size"]
    entries = await _compat.digest_entries(output.digest)
    if [(entry.path, entry.file_digest.serialized_bytes_length) for entry in entries] != [(_ARCHIVE, size)]:
        raise output_missing(address, f"{_ARCHIVE} of {size} bytes", "writing the archive")
    return output.digest


def archive_names(address: Address, destinations: tuple[Destination, ...]) -> tuple[str, ...]:
    """What the image is called when it is loaded: its references, else the target's name."""
    found = tuple(reference for destination in destinations for reference in destination.references)
    try:
        return found or (str(Reference.parse(f"{address.target_name}:latest")),)
    except DocklessError:
        return ()


async def written_image(
    address: Address,
    image: BuiltImage,
    output: str,
    with_base_layers: bool,
    destinations: tuple[Destination, ...],
    context: BuildContext,
    options: Dockless,
) -> Digest:
    """What `package` writes for an `output`: a layout's tree, a tree of `image.tar`, or nothing for `metadata`."""
    if output == "metadata":
        return EMPTY_DIGEST
    if output == "oci-layout" and not with_base_layers:
        return image.layout
    if output == "docker-archive" and len(image.images) > 1:
        raise TargetError(
            address,
            "output",
            "a docker-archive holds one platform",
            cause=f"the image has {len(image.images)}",
            hint="write oci-archive, or one platform",
        )
    layout = await complete_layout(address, image, context.client_python, options)
    if output == "oci-layout":
        return layout
    return await export_archive(
        address, layout, output, archive_names(address, destinations), context.python, context.tools
    )
