"""The program that builds layers, as trees that go into a sandbox."""

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from pants.engine.fs import CreateDigest, Digest, FileContent, MergeDigests
from pants.engine.rules import collect_rules, rule
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from pants_dockless import _compat

MAIN = "build_layer.py"

# What a layer needs beside the library, by its encoder. Each is an input of the processes that need it and of no
# others: another version of it makes another cache key for those alone.
ENCODERS = {"gzip": ("deflate",), "gzip-single": ("deflate", "zlib_ng"), "zstd": ("zstandard",), "none": ()}


@dataclass(frozen=True)
class LayerTools:
    """The library's own sources with the main program, and the packages that are installed, as a tree each."""

    library: Digest
    exporter: Digest
    packages: FrozenDict[str, Digest]


@rule(desc="Collect the layer builder", level=LogLevel.DEBUG)
async def collect_layer_tools() -> LayerTools:
    main = os.path.join(os.path.dirname(os.path.dirname(__file__)), "scripts", MAIN)
    with open(main, "rb") as file:
        library = [FileContent(MAIN, file.read()), *_package_files("dockless")]
    names = sorted({name for needed in ENCODERS.values() for name in needed})
    installed = [name for name in names if find_spec(name) is not None]
    digests = await _compat.concurrently(
        _compat.create_digest(CreateDigest(_package_files(name))) for name in installed
    )
    return LayerTools(
        await _compat.create_digest(CreateDigest(library)),
        await _compat.create_digest(CreateDigest(_package_files("dockless", ("layer", "layout", "oci", "tar")))),
        FrozenDict(dict(zip(installed, digests))),
    )


async def merged_tools(tools: LayerTools, compression: str) -> Digest:
    """The tree for one layer. A package that is not installed is left out: the builder says what that means."""
    needed = ENCODERS.get(compression.partition(":")[0], ())
    return await _compat.merge_digests(
        MergeDigests((tools.library, *(tools.packages[name] for name in needed if name in tools.packages)))
    )


async def exporter_tools(tools: LayerTools) -> Digest:
    """The tree for writing archives: layers of a base may be compressed in any way."""
    packages = (tools.packages[name] for name in ("zstandard",) if name in tools.packages)
    return await _compat.merge_digests(MergeDigests((tools.exporter, *packages)))


def _package_files(package: str, rooms: tuple[str, ...] = ("layer", "oci", "tar")) -> list:
    """The files that are imported from `package`, as it is installed beside this backend."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package `{package}` is not installed with {sys.executable}")
    (root,) = spec.submodule_search_locations
    found = []
    for folder, folders, names in os.walk(root):
        # Of the library, only what makes bytes: a change in the registry client must rebuild no layer.
        if package == "dockless" and folder == root:
            folders[:] = list(rooms)
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        for name in sorted(names):
            # The second backend of zstandard is 20 MB that are never loaded.
            if name.endswith((".py", ".so", ".dylib")) and not name.startswith("_cffi."):
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    found.append(FileContent(os.path.join(package, os.path.relpath(path, root)), file.read()))
    return found


def rules() -> list:
    return [*collect_rules()]
