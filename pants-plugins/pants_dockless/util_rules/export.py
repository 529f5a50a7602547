"""Images in the forms that runtimes load: with all their layers, as a layout or as an archive."""

import json

from pants.core.util_rules.adhoc_binaries import PythonBuildStandaloneBinary
from pants.engine.addresses import Address
from pants.engine.env_vars import EnvironmentVarsRequest
from pants.engine.fs import EMPTY_DIGEST, AddPrefix, CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.process import Process, ProcessCacheScope
from pants.util.logging import LogLevel

from dockless.errors import DocklessError
from dockless.oci.reference import Reference
from pants_dockless import _compat
from pants_dockless.errors import TargetError, sandbox_failure
from pants_dockless.subsystem import Dockless
from pants_dockless.util_rules.destinations import Destination
from pants_dockless.util_rules.image import BuiltImage
from pants_dockless.util_rules.processes import ENV_VARS, import_roots, main_file
from pants_dockless.util_rules.tools import LayerTools, exporter_tools

_FETCH = "fetch_layers.py"
_EXPORT = "export_image.py"
_PLAN = "plan.json"
_ARCHIVE = "image.tar"
# Kept between runs by Pants, for all images: a layer is fetched once.
_CACHE = {"dockless_blobs": ".dockless-blobs"}


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
        "blobs": "blobs/sha256",
        "import_from": import_roots(),
    }
    result = await _compat.run_process(
        Process(
            argv=(python.path, "-I", _FETCH, _PLAN),
            input_digest=await _compat.create_digest(
                CreateDigest([main_file(_FETCH), FileContent(_PLAN, json.dumps(plan).encode())])
            ),
            env=await _compat.environment_vars(EnvironmentVarsRequest((*ENV_VARS, *options.env_vars))),
            append_only_caches=_CACHE,
            output_directories=("blobs",),
            description=f"Fetch the base layers of {address}",
            # It may need credentials: it is not kept, what it fetched is.
            cache_scope=ProcessCacheScope.PER_SESSION,
            level=LogLevel.INFO,
        )
    )
    if result.exit_code:
        raise sandbox_failure(address, result.stderr)
    return await _compat.merge_digests(MergeDigests((image.layout, result.output_digest)))


async def export_archive(
    address: Address,
    layout: Digest,
    kind: str,
    names: tuple[str, ...],
    python: PythonBuildStandaloneBinary,
    tools: LayerTools,
) -> Digest:
    """A tree of one file, `image.tar`: the layout as an `oci-archive` or a `docker-archive`."""
    plan = {"layout": "image", "kind": kind, "archive": _ARCHIVE, "references": names}
    files = await _compat.create_digest(
        CreateDigest([main_file(_EXPORT), FileContent(_PLAN, json.dumps(plan).encode())])
    )
    result = await _compat.run_process(
        Process(
            argv=(python.path, "-I", "-S", _EXPORT, _PLAN),
            input_digest=await _compat.merge_digests(
                MergeDigests((files, await _compat.add_prefix(AddPrefix(layout, "image"))))
            ),
            immutable_input_digests={"__dockless": await exporter_tools(tools)},
            append_only_caches=PythonBuildStandaloneBinary.APPEND_ONLY_CACHES,
            output_files=(_ARCHIVE,),
            description=f"Write the archive of {address}",
            level=LogLevel.INFO,
        )
    )
    if result.exit_code:
        raise sandbox_failure(address, result.stderr)
    return result.output_digest


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
    python: PythonBuildStandaloneBinary,
    tools: LayerTools,
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
    layout = await complete_layout(address, image, python, options)
    if output == "oci-layout":
        return layout
    return await export_archive(address, layout, output, archive_names(address, destinations), python, tools)
