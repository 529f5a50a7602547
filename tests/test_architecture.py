"""docs/architecture.md: a package imports only packages below it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src/dockless"
PAGE = (ROOT / "docs/architecture.md").read_text()
# From bottom to top. The modules of one row are on one level: they do not import each other.
LEVELS = [row.split() for row in re.search(r"```text levels\n(.*?)```", PAGE, re.DOTALL)[1].strip().splitlines()]
LEVEL = {name: number for number, row in enumerate(LEVELS) for name in row}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports():
    """Yield the path and the package of each module, and each package that it imports, also within functions."""
    for path in SOURCES.rglob("*.py"):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                package, *rest = name.split(".")
                if package == "dockless" and rest and parts[0] != rest[0] and parts[0] not in ("__init__", "__main__"):
                    yield str(path.relative_to(ROOT)), parts[0], rest[0]


def imported_by(node):
    """Return the names of the modules that a node of the syntax tree imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "importlib.import_module":
        return [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    return []


def test_every_package_has_a_level():
    names = {path.stem for path in SOURCES.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert names - {"__init__", "__main__", "__pycache__"} == set(LEVEL)


@pytest.mark.parametrize("name", sorted(LEVEL))
def test_a_package_imports_only_packages_below(name):
    wrong = [
        f"{path} imports dockless.{imported}"
        for path, importer, imported in imports()
        # The packages at the top import the public API and the version.
        if importer == name and imported in LEVEL and LEVEL[imported] >= LEVEL[importer]
    ]
    assert wrong == []


def test_modules_of_the_registry_have_no_import_cycle():
    """Imports for type checking count too."""
    modules = {
        ".".join(path.relative_to(SOURCES.parent).with_suffix("").parts): path
        for path in (SOURCES / "registry").rglob("*.py")
        if path.name != "__init__.py"
    }
    edges = {
        name: {
            node.module
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.ImportFrom) and node.module in modules
        }
        for name, path in modules.items()
    }
    while edges:
        free = {name for name, imported in edges.items() if not imported & set(edges)}
        assert free, f"a circle among {sorted(edges)}"
        edges = {name: imported for name, imported in edges.items() if name not in free}


@pytest.mark.parametrize(
    ("package", "modules"),
    [
        ("requests", {"registry/http/adapter.py"}),
        ("urllib3", {"registry/http/_urllib3.py", "registry/http/error_mapping.py"}),
        ("google", {"registry/auth/google.py"}),
        ("pathspec", {"layer/patterns.py"}),
        ("tqdm", {"cli/_progress.py"}),
        ("shtab", {"cli/completion.py"}),
        ("deflate", {"layer/compression/libdeflate.py"}),
        ("yaml", {"structure_test/yaml_file.py"}),
    ],
)
def test_a_dependency_is_imported_only_where_it_is_used(package, modules):
    importers = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        for node in ast.walk(parsed(path))
        if any(name.split(".")[0] == package for name in imported_by(node))
    }
    assert importers == modules


def test_no_module_is_too_long():
    for path in SOURCES.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path
    for path in (ROOT / "pants-plugins/pants_dockless").rglob("*.py"):
        if path.name != "target_types.py":
            assert len(path.read_text().splitlines()) <= 250, path
