"""Layers: built by the library in a sandboxed process, so that Pants caches them."""

import json
import logging
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from pants.core.util_rules.adhoc_binaries import PythonBuildStandaloneBinary
from pants.engine.addresses import Address
from pants.engine.fs import AddPrefix, CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.process import Process
from pants.engine.rules import collect_rules, rule
from pants.util.logging import LogLevel

from dockless.layer import BuiltLayer, LayerSpec, Source
from pants_dockless import engine
from pants_dockless.errors import TargetError
from pants_dockless.rules.content import Content, collect_content
from pants_dockless.target_types import ContentField, DirectoryField

logger = logging.getLogger(__name__)

_MAIN = "build_layer.py"
_SPEC = "layer.json"


@dataclass(frozen=True)
class LayerTools:
    """The program that builds layers: the library's own sources and the compressor, as one tree.

    It is an input of every layer's process: another version of either makes another cache key.
    """

    digest: Digest


@dataclass(frozen=True)
class Layer:
    """A layer and the digest of a tree that holds its blob as an OCI layout does."""

    built: BuiltLayer
    digest: Digest


@rule(desc="Collect the layer builder", level=LogLevel.DEBUG)
async def collect_layer_tools() -> LayerTools:
    main = os.path.join(os.path.dirname(os.path.dirname(__file__)), "sandbox", _MAIN)
    with open(main, "rb") as file:
        files = [FileContent(_MAIN, file.read())]
    for package in ("dockless", "deflate"):
        files.extend(_package_files(package))
    return LayerTools(await engine.create_digest(CreateDigest(files)))


def _package_files(package: str) -> list:
    """The files that are imported from `package`, as it is installed beside this backend."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package `{package}` is not installed with {sys.executable}")
    (root,) = spec.submodule_search_locations
    found = []
    for folder, folders, names in os.walk(root):
        # Of the library, only what makes bytes: a change in the registry client must rebuild no layer.
        if package == "dockless" and folder == root:
            folders[:] = ["layer"]
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        for name in sorted(names):
            if name.endswith((".py", ".so", ".dylib")):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found.append(FileContent(os.path.join(package, os.path.relpath(path, root)), file.read()))
    return found


async def prefix_content(n: int, content: Content) -> Digest:
    return await engine.add_prefix(AddPrefix(content.digest, f"in/{n}"))


async def build_layer(
    field: ContentField, directory: DirectoryField, python: PythonBuildStandaloneBinary, tools: LayerTools
) -> tuple:
    """The layer that a target's content makes: a tuple of one `Layer`, or of none where there is no content."""
    contents = await collect_content(field)
    if not contents:
        return ()
    spec = LayerSpec(
        sources=tuple(
            Source(f"in/{n}", directory.value or "/", origin=content.origin) for n, content in enumerate(contents)
        )
    )
    trees = await engine.concurrently(prefix_content(n, content) for n, content in enumerate(contents))
    spec_digest = await engine.create_digest(
        CreateDigest([FileContent(_SPEC, json.dumps(spec.to_json(), sort_keys=True).encode())])
    )
    result = await engine.run_process(
        Process(
            argv=(python.path, "-I", "-S", f"__dockless/{_MAIN}", _SPEC, "blobs/sha256"),
            input_digest=await engine.merge_digests(MergeDigests((*trees, spec_digest))),
            immutable_input_digests={"__dockless": tools.digest},
            append_only_caches=PythonBuildStandaloneBinary.APPEND_ONLY_CACHES,
            output_directories=("blobs",),
            description=f"Build the layer of {field.address}",
            level=LogLevel.INFO,
        )
    )
    if result.exit_code:
        raise _failure(field.address, result.stderr)
    built = BuiltLayer.from_json(json.loads(result.stdout))
    for warning in built.warnings:
        logger.warning(f"{field.address}: {warning}")
    return (Layer(built, result.output_digest),)


def _failure(address: Address, stderr: bytes) -> Exception:
    said = stderr.decode(errors="replace").strip()
    if said.startswith("error: ") and "\n" not in said:
        return TargetError(address, None, said[len("error: ") :])
    return RuntimeError(f"{address}: the layer builder broke down:\n{said}")


def rules() -> list:
    return [*collect_rules()]
