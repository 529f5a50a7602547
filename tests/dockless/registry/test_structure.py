"""Rules of the package `dockless.registry` that no type checker knows."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "src/dockless/registry"
MODULES = sorted(PACKAGE.rglob("*.py"))
# Private names of urllib3 that are overridden or read.
PRIVATE = ("_new_conn", "_dns_host", "_tunnel", "_tunnel_scheme", "_make_request", "_put_conn", "_validate_conn")


def name_of(path):
    relative = path.relative_to(PACKAGE.parents[1]).with_suffix("")
    return ".".join(relative.parts).replace(".__init__", "")


def imports_of(path):
    """The modules of this package that a module imports, also within functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dockless.registry"):
            yield node.module


def test_no_module_imports_itself_by_way_of_others():
    graph = {name_of(path): set(imports_of(path)) for path in MODULES if path.name != "__init__.py"}
    done = set()

    def visit(name, above):
        assert name not in above, " -> ".join((*above, name))
        if name in graph and name not in done:
            for other in graph[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_http_and_auth_import_nothing_above_them(path):
    below_all = {"dockless.registry.errors", "dockless.registry.clock"}
    allowed = {
        "http": ("dockless.registry.http.",),
        "auth": ("dockless.registry.http.", "dockless.registry.auth.", "dockless.registry.retry"),
    }.get(path.parent.name)
    if allowed:
        assert [name for name in imports_of(path) if name not in below_all and not name.startswith(allowed)] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_error_is_changed_after_it_was_made(path):
    """`replace` makes another one."""
    for node in ast.walk(ast.parse(path.read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if hasattr(node, "target") else []
        for target in targets:
            if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                assert target.value.id not in ("error", "refusal", "failure", "denial"), f"line {node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_fits_on_a_few_pages(path):
    assert len(path.read_text().splitlines()) <= 400


def test_private_names_of_urllib3_are_used_in_one_module():
    users = {path.name for path in MODULES if any(name in path.read_text() for name in PRIVATE)}
    assert users == {"_urllib3.py"}


def test_requests_and_google_are_imported_where_they_belong():
    users = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top = (name or "").split(".")[0]
                if top in ("requests", "urllib3", "google"):
                    users.setdefault(top, set()).add(path.relative_to(PACKAGE).as_posix())
    assert users == {
        "requests": {"http/adapter.py"},
        "urllib3": {"http/_urllib3.py", "http/error_mapping.py"},
        "google": {"auth/google.py"},
    }
