"""The programs that run in sandboxes, which run as Pants runs them."""

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import pants_dockless
from dockless.layer import LayerSpec
from dockless.testing import Registry
from pants_dockless.util_rules.processes import import_roots
from pants_dockless.util_rules.tools import (
    COMPRESSIONS,
    DISTRIBUTION_MODULES,
    EXPORT_MODULES,
    PYTHON_LAYER_MODULES,
    TEST_MODULES,
    layer_modules,
    layer_packages,
    module_files,
    script,
)

MAIN = Path(pants_dockless.__file__).parent / "scripts/build_layer.py"


def lay_out(tools: Path, program: str, modules: tuple, *packages: str) -> None:
    """Write the files that Pants puts next to a program: its modules and packages."""
    for file in (script(program), *module_files(modules)):
        (tools / file.path).parent.mkdir(parents=True, exist_ok=True)
        (tools / file.path).write_bytes(file.content)
    for package in packages:
        (location,) = find_spec(package).submodule_search_locations
        shutil.copytree(location, tools / package, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture
def sandbox(tmp_path):
    """sandbox(spec) runs the program in a directory with its modules and a source."""
    lay_out(tmp_path / "__dockless", MAIN.name, layer_modules("gzip", False), "deflate")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.txt").write_text("a")

    def run(spec: dict, *flags: str) -> subprocess.CompletedProcess:
        (tmp_path / "layer.json").write_text(json.dumps(spec))
        shutil.rmtree(tmp_path / "blobs", ignore_errors=True)
        argv = (sys.executable, "-I", "-S", *flags, f"__dockless/{MAIN.name}", "layer.json", "blobs/sha256")
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, env={}, check=False)

    return run


def spec(destination: str = "/srv") -> dict:
    return {"sources": [{"path": "in", "destination": destination, "origin": "app:files"}]}


def test_build_layer_writes_blob_and_description(sandbox, tmp_path):
    done = sandbox(spec())
    assert done.returncode == 0, done.stderr
    layer = json.loads(done.stdout)
    (blob,) = (tmp_path / "blobs/sha256").iterdir()
    assert layer["descriptor"]["digest"] == f"sha256:{blob.name}"
    assert layer["descriptor"]["size"] == blob.stat().st_size


def test_errors_are_one_line_and_leave_no_blob(sandbox, tmp_path):
    done = sandbox(spec("/a/../b"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert not list((tmp_path / "blobs").rglob("*.*"))
    assert sandbox({"sources": [], "unheard_of": 1}).stderr.startswith("error: the layer spec has the unknown")


def test_build_layer_imports_few_modules_and_no_network(sandbox):
    """Each layer is built by a process whose imports take most of the start-up time."""
    modules = set(re.findall(r"import time:\s+\d+ \|\s+\d+ \|\s+(\S+)", sandbox(spec(), "-X", "importtime").stderr))
    assert not modules & {"socket", "ssl", "http.client", "urllib.request", "requests", "urllib3", "tarfile", "email"}
    assert len(modules) < 150


def imported(tools: Path, code: str) -> set:
    """Return the modules of the library that `code` imports, apart from empty packages."""
    done = subprocess.run(
        (sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, sys.argv[1])\n{code}\n{LIST}", tools),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


LIST = (
    "print(*(m for m, x in list(sys.modules.items()) if m.startswith('dockless.') and open(x.__file__).read().strip()))"
)


@pytest.mark.parametrize("patterns", [False, True])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_layer_modules_are_the_imported_modules(tmp_path, compression, patterns):
    """With a module too few, the build fails. With a module too many, a change to the module rebuilds all layers."""
    lay_out(tmp_path, MAIN.name, layer_modules(compression, patterns), *layer_packages(compression, patterns))
    fields = "modes={'/a': '0600'}, " * patterns
    code = (
        "import build_layer\n"
        "from dockless.layer.spec import InlineFile\n"
        f"spec = build_layer.LayerSpec(compression={compression!r}, hardlinks=True, {fields}\n"
        "    inline_files={'/a': InlineFile('x')})\n"
        "build_layer.build_layer(spec, sys.argv[1])"
    )
    assert imported(tmp_path, code) == set(layer_modules(compression, patterns))


@pytest.mark.parametrize(
    "field", [{"ignores": ["*.pyc"]}, {"ignore_files": [".ig"]}, {"modes": {"*.txt": "0600"}}, {"owners": {"*": "1:1"}}]
)
def test_pathspec_is_an_input_only_of_layers_with_patterns(sandbox, tmp_path, field):
    (tmp_path / "in/.ig").write_text("*.pyc")
    described = {**spec(), **field}
    assert LayerSpec.from_json(described).has_patterns and not LayerSpec.from_json(spec()).has_patterns
    assert "No module named" in sandbox(described).stderr
    lay_out(tmp_path / "__dockless", MAIN.name, layer_modules("gzip", True), "pathspec")
    assert sandbox(described).returncode == 0


def test_export_modules_are_the_imported_modules(tmp_path):
    lay_out(tmp_path, "export_image.py", EXPORT_MODULES)
    assert imported(tmp_path, "import export_image") == set(EXPORT_MODULES)


def test_test_modules_are_the_imported_modules(tmp_path):
    lay_out(tmp_path, "test_image.py", TEST_MODULES, "pathspec")
    # Patterns are imported when a check has them.
    assert imported(tmp_path, "import test_image, dockless.layer.patterns") == set(TEST_MODULES)


def test_distribution_modules_are_the_imported_modules(tmp_path):
    """With a module too many, a change to the module describes all distributions again."""
    lay_out(tmp_path, "describe_distribution.py", DISTRIBUTION_MODULES)
    assert imported(tmp_path, "import describe_distribution") == set(DISTRIBUTION_MODULES)


def test_python_layer_modules_are_the_imported_modules(tmp_path):
    modules = {*layer_modules("gzip", False), *PYTHON_LAYER_MODULES}
    lay_out(tmp_path, "build_python_layer.py", tuple(modules), *layer_packages("gzip", False))
    code = (
        "import build_python_layer\n"
        "from dockless.layer.spec import LayerSpec\n"
        "spec = build_python_layer.PythonLayerSpec((), LayerSpec(hardlinks=True, symlinks={'/a': 'b'}))\n"
        "build_python_layer.build_python_layer(spec, sys.argv[1], sys.argv[1])"
    )
    assert imported(tmp_path, code) == modules


@pytest.fixture
def lock(tmp_path):
    """lock(old, *update) runs the program that writes the lockfile, as Pants runs it."""

    def run(old: str, *update: str, bases: tuple = ()) -> subprocess.CompletedProcess:
        (tmp_path / "old").write_text(old)
        plan = {
            "import_from": import_roots(),
            "old": "old",
            "new": "new",
            "bases": bases,
            "update": update,
        }
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        argv = (sys.executable, "-I", "-S", MAIN.parent / "lock_bases.py", "plan.json")
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("broken", ["<<<<<<< HEAD\n{}", "{}", '{"version": 99}', ""])
def test_invalid_lockfile_is_replaced(lock, tmp_path, broken):
    """Errors about an invalid lockfile tell users to run this program."""
    done = lock(broken)
    assert done.returncode == 0, done.stderr
    (notice,) = json.loads(done.stdout)
    assert notice.startswith("the existing lockfile") and notice.endswith("; the lockfile is replaced")
    assert lock((tmp_path / "new").read_text()).stdout == "[]"


def test_update_of_an_unknown_base(lock, tmp_path):
    done = lock('{"version": 1, "bases": {}}', "reg.example/bsuy:1")
    assert done.returncode == 1
    assert done.stderr.endswith(
        "[dockless].update_bases names reg.example/bsuy:1, which is not the reference of a base image\n"
    )


def test_error_names_the_targets_that_use_a_base(lock, tmp_path):
    with Registry() as registry:
        reference = f"{registry.host}/nothing:1"
        base = {"reference": reference, "platforms": [], "used_by": "app:base: field `reference`", "insecure": False}
        done = lock("", bases=(base,))
    assert done.returncode == 1 and not (tmp_path / "new").exists()
    assert done.stderr.startswith(f"error: app:base: field `reference`: GET {registry.url}/v2/nothing/manifests/1: 404")
    assert done.stderr.count("\n") == 1
