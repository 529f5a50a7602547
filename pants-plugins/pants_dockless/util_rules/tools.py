"""The trees of the programs that write layers and archives.

A tree contains exactly the modules and packages that its program imports. Each file is part of the cache key: a change
to a module that is not listed here does not rebuild layers.
"""

import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from pants.engine.fs import CreateDigest, Digest, FileContent, MergeDigests

from dockless.layer.spec import LayerSpec
from pants_dockless import _compat
from pants_dockless.util_rules.interpreter import launcher

BUILD_LAYER = "build_layer.py"
EXPORT_IMAGE = "export_image.py"
TEST_IMAGE = "test_image.py"
DESCRIBE_DISTRIBUTION = "describe_distribution.py"
BUILD_PYTHON_LAYER = "build_python_layer.py"

LAYER_MODULES = (
    "dockless._files",
    "dockless._hashing",
    "dockless._lines",
    "dockless._printable",
    "dockless._units",
    "dockless.errors",
    "dockless.layer.builder",
    "dockless.layer.compression",
    "dockless.layer.compression.compressor",
    "dockless.layer.entries",
    "dockless.layer.hardlinks",
    "dockless.layer.ignore",
    "dockless.layer.permissions",
    "dockless.layer.source_tree",
    "dockless.layer.spec",
    "dockless.layer.tar_writer",
    "dockless.layer.walk",
    "dockless.oci.descriptor",
    "dockless.oci.digest",
    "dockless.oci.media_types",
    "dockless.oci.platform",
    "dockless.tar.header",
)
# The additional modules and packages of layers with patterns.
PATTERN_MODULES = ("dockless.layer.patterns",)
PATTERN_PACKAGES = ("pathspec",)


@dataclass(frozen=True)
class Compression:
    """The modules of `dockless.layer.compression` and the installed packages that a compression requires."""

    modules: tuple[str, ...]
    packages: tuple[str, ...] = ()


COMPRESSIONS = {
    "gzip": Compression(("gzip_multi", "libdeflate", "stored_deflate"), ("deflate",)),
    "gzip-single": Compression(("gzip_multi", "gzip_single", "libdeflate", "stored_deflate"), ("deflate", "zlib_ng")),
    "zstd": Compression(("zstd",), ("zstandard",)),
    "none": Compression(("none",)),
}

# Those of the program that describes a distribution, and the additional ones of the builder of Python layers.
DISTRIBUTION_MODULES = (
    "dockless._printable",
    "dockless.errors",
    "dockless.python_layers.distribution",
    "dockless.python_layers.entry_points",
    "dockless.python_layers.normalize",
    "dockless.python_layers.paths",
)
PYTHON_LAYER_MODULES = (
    *DISTRIBUTION_MODULES[2:],
    "dockless.python_layers.builder",
    "dockless.python_layers.bytecode",
)

# Those of the programs that read images.
_IMAGE_MODULES = (
    "dockless._files",
    "dockless._hashing",
    "dockless._printable",
    "dockless._units",
    "dockless.blobs",
    "dockless.errors",
    "dockless.image_tree",
    "dockless.layout.files",
    "dockless.layout.oci_layout",
    "dockless.oci.canonical_json",
    "dockless.oci.descriptor",
    "dockless.oci.digest",
    "dockless.oci.image_config",
    "dockless.oci.image_documents",
    "dockless.oci.manifest",
    "dockless.oci.media_types",
    "dockless.oci.platform",
    "dockless.oci.reference",
    "dockless.tar.decompress",
    "dockless.tar.header",
    "dockless.tar.index",
    "dockless.tar.reader",
    "dockless.tar.sparse",
)

EXPORT_MODULES = (
    *_IMAGE_MODULES,
    "dockless._atomic",
    "dockless.layout.blob_copy",
    "dockless.layout.docker_archive_writer",
    "dockless.layout.oci_archive",
    "dockless.tar.writer",
)
# The layers of a base may have any compression.
EXPORT_PACKAGES = ("zstandard",)

TEST_MODULES = (
    *_IMAGE_MODULES,
    "dockless.layer.ignore",
    "dockless.layer.patterns",
    "dockless.layer.spec",
    "dockless.structure_test.checks",
    "dockless.structure_test.file_tree",
    "dockless.structure_test.yaml_file",
)
TEST_PACKAGES = (*EXPORT_PACKAGES, *PATTERN_PACKAGES, "yaml")


def layer_modules(compression: str, patterns: bool) -> tuple[str, ...]:
    """Return the names of the modules that the layer builder imports for a compression, with or without patterns."""
    names = COMPRESSIONS[compression].modules
    return (
        *LAYER_MODULES,
        *(f"dockless.layer.compression.{name}" for name in names),
        *(PATTERN_MODULES if patterns else ()),
    )


def layer_packages(compression: str, patterns: bool) -> tuple[str, ...]:
    """Return the names of the packages that the layer builder imports."""
    return (*COMPRESSIONS[compression].packages, *(PATTERN_PACKAGES if patterns else ()))


async def _tree(program: str, modules: Iterable[str], packages: Iterable[str]) -> Digest:
    # The program reports a package that is not installed.
    installed = [name for name in packages if find_spec(name) is not None]
    own = await _compat.create_digest(CreateDigest([script(program), launcher(), *module_files(modules)]))
    trees = await _compat.concurrently(_compat.create_digest(CreateDigest(_package_files(name))) for name in installed)
    return await _compat.merge_digests(MergeDigests((own, *trees)))


async def layer_builder(spec: LayerSpec) -> Digest:
    """Return the tree of the program that builds a layer. The program reports an unknown compression."""
    name = spec.compression.partition(":")[0]
    kind = (name if name in COMPRESSIONS else "none", spec.has_patterns)
    return await _tree(BUILD_LAYER, layer_modules(*kind), layer_packages(*kind))


async def distribution_reader() -> Digest:
    """Return the tree of the program that describes a distribution."""
    return await _tree(DESCRIBE_DISTRIBUTION, DISTRIBUTION_MODULES, ())


async def python_layer_builder(compression: str) -> Digest:
    """Return the tree of the program that builds a layer of Python code."""
    name = compression.partition(":")[0]
    kind = (name if name in COMPRESSIONS else "none", False)
    return await _tree(BUILD_PYTHON_LAYER, (*layer_modules(*kind), *PYTHON_LAYER_MODULES), layer_packages(*kind))


async def archive_writer() -> Digest:
    """Return the tree of the program that writes archives."""
    return await _tree(EXPORT_IMAGE, EXPORT_MODULES, EXPORT_PACKAGES)


async def image_tester() -> Digest:
    """Return the tree of the program that tests images."""
    return await _tree(TEST_IMAGE, TEST_MODULES, TEST_PACKAGES)


def script(name: str) -> FileContent:
    """Return the file of a program in `pants_dockless.scripts`."""
    with open(os.path.join(os.path.dirname(os.path.dirname(__file__)), "scripts", name), "rb") as file:
        return FileContent(name, file.read())


def module_files(modules: Iterable[str]) -> list[FileContent]:
    """Return the files of modules of `dockless`, and an empty `__init__.py` for each package that is not listed."""
    (root,) = _locations("dockless")
    files: dict[str, bytes] = {}
    for module in sorted(modules):
        parts = module.split(".")
        for n in range(1, len(parts)):
            files.setdefault("/".join((*parts[:n], "__init__.py")), b"")
        path = os.path.join(os.path.dirname(root), *parts)
        is_package = os.path.isdir(path)
        with open(os.path.join(path, "__init__.py") if is_package else path + ".py", "rb") as file:
            files["/".join((*parts, "__init__.py")) if is_package else "/".join(parts) + ".py"] = file.read()
    return [FileContent(path, content) for path, content in files.items()]


def _package_files(package: str) -> list[FileContent]:
    """Return the modules of an installed package."""
    files = []
    for root in _locations(package):
        for directory, directories, names in os.walk(root):
            directories[:] = sorted(name for name in directories if name != "__pycache__")
            for name in sorted(names):
                # `_cffi` is the second backend of zstandard. It has 20 MB and is never imported.
                if name.endswith((".py", ".so", ".dylib")) and not name.startswith("_cffi."):
                    path = os.path.join(directory, name)
                    with open(path, "rb") as file:
                        files.append(FileContent(os.path.join(package, os.path.relpath(path, root)), file.read()))
    return files


def _locations(package: str) -> list[str]:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"the package `{package}` is not installed with {sys.executable}")
    return list(spec.submodule_search_locations)
