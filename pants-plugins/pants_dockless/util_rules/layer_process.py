"""The processes that build layers: with the blob as their output, or with the digest of the blob alone."""

import json
from dataclasses import dataclass
from typing import Optional

from pants.engine.addresses import Address
from pants.engine.fs import Digest, MergeDigests
from pants.engine.process import Process, ProcessCacheScope
from pants.util.logging import LogLevel

from dockless.errors import printable
from dockless.layer import BuiltLayer
from pants_dockless import _compat
from pants_dockless.errors import TargetError
from pants_dockless.util_rules.interpreter import SharedPython
from pants_dockless.util_rules.processes import check_blobs, run_builder
from pants_dockless.util_rules.tools import BUILD_LAYER

SPEC = "layer.json"
# Not `blobs`: some remote caches require a blob for each directory inside an output directory, which Pants does not
# upload.
_BLOBS = "blobs/sha256"


@dataclass(frozen=True)
class LayerProcess:
    """The inputs of the process that builds a layer: the program in `tools`, the sources and the spec in `inputs`.

    `is_deferred` tells whether Pants leaves the output in the remote cache until it is needed. `content` names the
    layer in the description of the process, which is the same for all targets with the layer; by default the name is
    that of the target. `program` is the name of the program.
    """

    address: Address
    python: SharedPython
    tools: Digest
    inputs: Digest
    is_deferred: bool
    content: str = ""
    program: str = BUILD_LAYER

    @property
    def description(self) -> str:
        """The description of the process."""
        return f"Build the layer of {self.content or self.address}"


@dataclass(frozen=True)
class Layer:
    """A layer. `tree` contains the blob as an OCI image layout does; None if the blob is not kept."""

    built: BuiltLayer
    process: LayerProcess
    tree: Optional[Digest]


async def run_layer_process(process: LayerProcess, *, keep_blob: bool) -> Layer:
    """Build a layer. Without `keep_blob`, Pants stores the digest and the size of the blob only. Raises TargetError."""
    scope = ProcessCacheScope.SUCCESSFUL
    if keep_blob:
        return await _run(process, process.description, scope)
    output = await run_builder(
        process.address,
        process.description,
        process.python,
        process.tools,
        (process.program, SPEC, _BLOBS),
        process.inputs,
    )
    return Layer(BuiltLayer.from_json(json.loads(output.stdout)), process, None)


async def layer_trees(layers: tuple[Layer, ...], *, download: bool = True) -> tuple[Digest, ...]:
    """Return trees with the blobs of layers. A blob that is not kept is built again and verified.

    With `download`, the blobs are on this machine afterwards. Raises TargetError.
    """
    trees: tuple[Digest, ...] = await _compat.concurrently([_layer_tree(layer) for layer in layers])
    deferred = [layer for layer in layers if layer.process.is_deferred and layer.tree is not None]
    if download and deferred and not await _download(layers[0].process.address, trees):
        await _compat.concurrently([_build_again(layer) for layer in deferred])
    return trees


async def _download(address: Address, trees: tuple[Digest, ...]) -> bool:
    """Download the blobs that are only in the remote cache, before an incomplete layout is written to dist.

    Returns False if the cache has lost a blob and Pants has not built the layer again: Pants 2.27 to 2.31 do not know
    the cause of an error while a sandbox is written. Raises TargetError for other errors.
    """
    try:
        await _compat.run_local_process(
            Process(
                ("/bin/sh", "-c", ":"),
                input_digest=await _compat.merge_digests(MergeDigests(trees)),
                description=f"Download the layers of {address} from the remote cache",
                cache_scope=ProcessCacheScope.PER_SESSION,
                level=LogLevel.DEBUG,
            )
        )
        return True
    except Exception as error:
        if "not present in either the local or remote store" in str(error):
            return False
        raise TargetError(
            address,
            None,
            "cannot download the layers from the remote cache",
            cause=printable(str(error)),
            hint="run the command again with --cache-content-behavior=fetch, which builds the missing layers",
        ) from None


async def _layer_tree(layer: Layer) -> Digest:
    return layer.tree if layer.tree is not None else await _build_again(layer)


async def _build_again(layer: Layer) -> Digest:
    # The result must not go to a remote cache: that blobs are not stored there is the purpose.
    again = await _run(
        layer.process, f"{layer.process.description} again", ProcessCacheScope.PER_SESSION, expected=layer.built
    )
    assert again.tree is not None
    return again.tree


async def _run(
    process: LayerProcess, description: str, scope: ProcessCacheScope, *, expected: Optional[BuiltLayer] = None
) -> Layer:
    output = await run_builder(
        process.address,
        description,
        process.python,
        process.tools,
        (process.program, SPEC, _BLOBS),
        process.inputs,
        cache_scope=scope,
        output_directories=(_BLOBS,),
    )
    built = BuiltLayer.from_json(json.loads(output.stdout))
    descriptor = (expected or built).descriptor
    sizes = {str(descriptor.digest): descriptor.size}
    await check_blobs(process.address, output.digest, sizes, "the process that builds the layer")
    return Layer(built, process, output.digest)
