"""Layers of distributions, the layer of the virtual environment, and an application that runs in them."""

import marshal
import os
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path

import made_wheels
import pytest
from made_wheels import installed, made_wheel

import dockless
from dockless.errors import LayerError
from dockless.layer import LayerSpec, build_layer
from dockless.python_layers.builder import MemberSpec, PythonLayerSpec, build_python_layer
from dockless.python_layers.bytecode import Compiler
from dockless.python_layers.interpreter import Interpreter
from dockless.python_layers.venv import entry_command, main_script, venv_environment, venv_layer

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
# The same for CPython 3.9 to 3.13.
DIGEST = "sha256:99810066e77359de87f7e1663a3a693f6b1618c766a99da63a7137fa4f563928"
VENV_DIGEST = "sha256:0fc12ab31d89f430d9b4f59d33efe7042a7740de84b2c50ab5432754310ca120"


@pytest.fixture
def wheels(tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "wheels").mkdir()
    directory = tmp_path / "wheels"
    return {
        "a": made_wheel(directory, "a", {"ns/__init__.py": "", "ns/a.py": "A = 1\n"}),
        "b": made_wheel(
            directory,
            "b",
            {"ns/__init__.py": "", "b.py": "def main():\n    print('b')\n", "broken.py": "print 'python 2'\n"},
            scripts="[console_scripts]\nb-tool = b:main\n",
        ),
    }


def spec(wheels, compiler=None, omitted=()) -> PythonLayerSpec:
    members = tuple(MemberSpec(str(path), name, omitted) for name, path in sorted(wheels.items()))
    return PythonLayerSpec.from_json(PythonLayerSpec(members, LayerSpec(), compiler).to_json())


def build(spec, tmp_path):
    return build_python_layer(spec, str(tmp_path / "blobs"), str(tmp_path))


def extracted(layers, tmp_path, target):
    """Extract layers to a directory that takes the place of the root directory."""
    for layer in layers:
        with tarfile.open(tmp_path / "blobs" / layer.descriptor.digest.hex) as archive:
            archive.extractall(target, **({"filter": "fully_trusted"} if hasattr(tarfile, "data_filter") else {}))


def test_the_digest_is_a_literal(wheels, tmp_path):
    assert str(build(spec(wheels), tmp_path).descriptor.digest) == DIGEST
    assert sorted(os.listdir(tmp_path)) == ["blobs", "wheels"]


@pytest.mark.parametrize("release", ["2.1", "2.97"])
def test_installed_wheels_have_the_same_layer(wheels, tmp_path, release):
    packed = {name: installed(path, tmp_path / f"{name}.zip", release=release) for name, path in wheels.items()}
    assert str(build(spec(packed), tmp_path).descriptor.digest) == DIGEST


def test_omitted_files(wheels, tmp_path):
    layer = build(spec(wheels, omitted=("site-packages/ns/__init__.py",)), tmp_path)
    extracted([layer], tmp_path, tmp_path / "root")
    assert sorted(os.listdir(tmp_path / "root/opt/venv/site-packages/ns")) == ["a.py"]


def test_errors_name_the_distribution(wheels, tmp_path):
    wheels["a"].write_bytes(b"")
    with pytest.raises(LayerError, match="^a: the file is not a valid zip file"):
        build(spec(wheels), tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["blobs", "wheels"] and not os.listdir(tmp_path / "blobs")


def test_the_layer_of_the_venv_is_a_literal(tmp_path):
    (tmp_path / "blobs").mkdir()
    layer = build_layer(venv_layer(Interpreter.parse("/usr/local/bin/python3.12"), "gzip"), str(tmp_path / "blobs"))
    assert str(layer.descriptor.digest) == VENV_DIGEST
    assert layer.descriptor.size < 500


def run_in_venv(tmp_path, target, code):
    """Run code with the interpreter of an extracted virtual environment, whose path is not /opt/venv."""
    (target / "opt/venv/app").mkdir(exist_ok=True)
    (target / "opt/venv/site-packages/_dockless_app.pth").write_text(f"{target}/opt/venv/app\n")
    done = subprocess.run(
        [target / "opt/venv/bin/python", "-c", code], capture_output=True, text=True, env={}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


CODE = """
import importlib.metadata, sys, ns.a, b, app_module
print(sys.prefix != sys.base_prefix, ns.a.A, app_module.X, sys.ran_by_pth)
print(all(file.locate().exists() for name in "abp" for file in importlib.metadata.files(name)))
print(sorted(d.metadata["Name"] for d in importlib.metadata.distributions()))
"""


def interpreter() -> Interpreter:
    """Return the real interpreter that runs the tests."""
    path = os.path.join(sys.base_prefix, "bin", f"python{VERSION}")
    return Interpreter.parse(path if os.path.exists(path) else os.path.realpath(sys.executable))


def compiler() -> Compiler:
    return Compiler(interpreter().path, VERSION, "0" * 64)


@pytest.mark.parametrize("with_bytecode", [False, True])
def test_an_application_runs(wheels, tmp_path, with_bytecode):
    """Imports, metadata and .pth files work through the symlink to site-packages."""
    wheels["p"] = made_wheel(tmp_path / "wheels", "p", {"p.pth": "import sys; sys.ran_by_pth = True\n"})
    layer = build(spec(wheels, compiler() if with_bytecode else None), tmp_path)
    venv_ = build_layer(venv_layer(interpreter(), "gzip"), str(tmp_path / "blobs"))
    target = tmp_path / "root"
    extracted([layer, venv_], tmp_path, target)
    (target / "opt/venv/app").mkdir()
    (target / "opt/venv/app/app_module.py").write_text("X = 2\n")
    output = run_in_venv(tmp_path, target, CODE)
    assert output[:3] == ["True 1 2 True", "True", "['a', 'b', 'p']"]
    cached = target / f"opt/venv/site-packages/__pycache__/b.cpython-{VERSION.replace('.', '')}.pyc"
    if with_bytecode:
        assert marshal.loads(cached.read_bytes()[16:]).co_filename == "/opt/venv/site-packages/b.py"


def test_bytecode_is_the_same_again(wheels, tmp_path):
    layers = [build(spec(wheels, compiler()), tmp_path) for _ in range(2)]
    assert layers[0] == layers[1] and str(layers[0].descriptor.digest) != DIGEST
    extracted(layers[:1], tmp_path, tmp_path / "root")
    names = [path.name for path in (tmp_path / "root").rglob("*.pyc")]
    tag = sysconfig.get_config_var("SOABI") and f"cpython-{VERSION.replace('.', '')}"
    assert sorted(names) == [f"__init__.{tag}.pyc", f"a.{tag}.pyc", f"b.{tag}.pyc"]
    # PEP 552: a hash-based file that is never checked has the flags 1.
    for path in (tmp_path / "root").rglob("*.pyc"):
        assert path.read_bytes()[4:8] == b"\1\0\0\0"


MODULE = """\"\"\"A module whose bytecode depended on the hash seed in CPython 3.10 and earlier.\"\"\"
NAMES = {"alpha", "beta", "gamma", "delta"}

def is_known(name, *, default=frozenset({"x", "y", "z"})):
    return name in {"one", "two", "three", "four"} or name in NAMES | default

class Table(dict):
    limit = 1.5
    def __missing__(self, key):
        return lambda: (key, "one", self.limit)
"""
# Bytecode depends on the release of CPython that compiles. These are the releases that run the tests.
BYTECODE_DIGESTS = {
    "3.9.18": "7c66a46bcd56d5f9d521fada33e060b79d215e2d6d8c8491f84f849d4faa7b1c",
    "3.10.13": "863714605992b04b13f4a36a3aaef4d1ffc5fe6e60939be5dd4d213cbd564b65",
    "3.11.7": "f65ebfa87ae2bbeb3fcee8484ba6222d7ebd0e1623f6a8e36bcc5a2ac01d4b5f",
    "3.12.1": "ea8284e9c8c7dc3054e53c73c2b9677eb065f74bdf7054839c9f8cfa46f71eeb",
    "3.13.0": "c8cfa19085729769abc1de08936791c0ae7b5e033e7bd41fc99e7cc1b524298b",
}


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}, {"PYTHONHASHSEED": "2", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}],
)
def test_the_digest_with_bytecode_is_a_literal(tmp_path, environment):
    wheel = made_wheel(
        tmp_path, "c", {"c/__init__.py": MODULE, "c/broken.py": "print 'python 2'\n", "größe.py": "x = 1\n"}
    )
    code = (
        "import sys; from test_builder import *; print(build(spec({'c': sys.argv[1]}, compiler()), Path(sys.argv[2])))"
    )
    (tmp_path / "blobs").mkdir()
    paths = [Path(dockless.__file__).parents[1], Path(made_wheels.__file__).parent, Path(__file__).parent]
    done = subprocess.run(
        [sys.executable, "-c", code, wheel, tmp_path],
        env={"PYTHONPATH": os.pathsep.join(map(str, paths)), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    release = "{}.{}.{}".format(*sys.version_info[:3])
    (name,) = os.listdir(tmp_path / "blobs")
    if release in BYTECODE_DIGESTS:
        assert name == BYTECODE_DIGESTS[release]
    else:
        assert name == build(spec({"c": wheel}, compiler()), tmp_path).descriptor.digest.hex


def test_a_compiler_that_cannot_be_run(wheels, tmp_path):
    with pytest.raises(LayerError, match="cannot run the compiler /nowhere/python3.9: No such file"):
        build(spec(wheels, Compiler("/nowhere/python3.9", "3.9", "")), tmp_path)


def test_entrypoints():
    assert entry_command("app.main", "", ["--port", "1"]) == ("/opt/venv/bin/python", "-m", "app.main", "--port", "1")
    assert entry_command("app.main:run", "") == ("/opt/venv/bin/__main__",)
    assert entry_command("", "gunicorn") == ("/opt/venv/bin/gunicorn",)
    assert main_script("app.main") == {}
    (file,) = main_script("app.main:run").values()
    assert file.mode == 0o755 and b"from app.main import run" in file.content
    with pytest.raises(LayerError, match="entry point 'a b:c'"):
        main_script("a b:c")


def test_environment():
    assert venv_environment("/usr/bin", has_bytecode=True) == {
        "PATH": "/opt/venv/bin:/usr/bin",
        "VIRTUAL_ENV": "/opt/venv",
        "PYTHONUNBUFFERED": "1",
    }
    env = venv_environment(None, has_bytecode=False)
    assert env["PYTHONDONTWRITEBYTECODE"] == "1"
    assert env["PATH"].startswith("/opt/venv/bin:/usr/local/sbin:")


def test_memory_does_not_depend_on_the_size_of_a_wheel(tmp_path):
    """A file is never completely in memory."""
    wheel = made_wheel(tmp_path, "big", {"big.bin": bytes(64 << 20)})
    code = (
        "import resource, sys; from dockless.python_layers.normalize import normalize\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; normalize(*sys.argv[1:])\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    path = str(Path(__file__).parents[3] / "src")
    done = subprocess.run(
        [sys.executable, "-c", code, wheel, tmp_path / "out"], env={"PYTHONPATH": path}, capture_output=True, check=True
    )
    assert int(done.stdout) < 16 << 10
