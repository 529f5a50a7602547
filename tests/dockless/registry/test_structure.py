"""Rules of the package `dockless.registry` that type checkers do not check."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "src/dockless/registry"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Private names of urllib3 that are overridden or read.
PRIVATE = ("_new_conn", "_dns_host", "_tunnel", "_tunnel_scheme", "_make_request", "_put_conn", "_validate_conn")
# Package below `registry` -> the modules of `registry` that it may import.
ALLOWED = {
    "http": ("dockless.registry.http.",),
    "auth": ("dockless.registry.http.", "dockless.registry.auth.", "dockless.registry.retry"),
}


def name_of(path):
    relative = path.relative_to(PACKAGE.parents[1]).with_suffix("")
    return ".".join(relative.parts).replace(".__init__", "")


def imports_of(path):
    """Yield the modules of this package that a module imports, also in functions and for type checking."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dockless.registry"):
            yield node.module


@pytest.mark.parametrize("path", [path for path in MODULES if path.parent.name in ALLOWED], ids=name_of)
def test_http_and_auth_import_nothing_above_them(path):
    below_all = {"dockless.registry.errors", "dockless.registry.clock"}
    allowed = ALLOWED[path.parent.name]
    assert [name for name in imports_of(path) if name not in below_all and not name.startswith(allowed)] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_error_is_changed_after_it_was_made(path):
    """Errors are changed by `replace`, which returns a copy."""
    for node in ast.walk(ast.parse(path.read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if hasattr(node, "target") else []
        for target in targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                assert target.value.id not in ("error", "refusal", "failure", "denial"), f"line {node.lineno}"


def test_private_names_of_urllib3_are_used_in_one_module():
    users = {path.name for path in MODULES if any(name in path.read_text() for name in PRIVATE)}
    assert users == {"_urllib3.py"}
