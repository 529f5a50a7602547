"""The distribution: `pip install .` works on each interpreter, and wheel and sdist contain both packages."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from real_tools import ROOT, need
from real_tools import sources as all_sources

import dockless

VERSIONS = ["3.9", "3.13"]
PACKAGES = {"dockless": ROOT / "src/dockless", "pants_dockless": ROOT / "pants-plugins/pants_dockless"}
OFFLINE = re.compile("NewConnectionError|NameResolutionError|ConnectTimeoutError|Network is unreachable")


def interpreter(version):
    """Returns the environment of `./run-tests` for an interpreter. Only its pip is used."""
    python = ROOT / f".cache/test-{version}/bin/python"
    need(str(python))
    return python


def run(*argv, cwd=None, ok=True):
    """Runs a program without PYTHONPATH and similar variables of this process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "DOCKLESS"))}
    done = subprocess.run(list(map(str, argv)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    if ok and done.returncode and OFFLINE.search(done.stderr) and os.environ.get("CI") != "true":
        pytest.skip("NOT TESTED: no package index can be reached")
    assert not ok or done.returncode == 0, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done


def sources(as_sdist=False):
    """Returns the files of both packages as in a wheel or in an sdist: name -> bytes."""
    return {
        f"{directory.relative_to(ROOT) if as_sdist else name}/{path.relative_to(directory)}": path.read_bytes()
        for name, directory in PACKAGES.items()
        for path in directory.rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The directory with the sdist, and with the wheel that was built from the sdist."""
    directory = tmp_path_factory.mktemp("built")
    run(interpreter("3.9"), "-m", "build", "--outdir", directory, ROOT)
    return directory


def test_the_wheel_contains_both_packages_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    assert wheel.name == f"dockless-{dockless.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as found:
        files = {name: found.read(name) for name in found.namelist()}
    about = {name: data for name, data in files.items() if ".dist-info/" in name}
    assert {name: data for name, data in files.items() if name not in about} == sources()
    assert {"dockless/py.typed", "pants_dockless/py.typed"} <= set(files)
    (metadata,) = (data.decode() for name, data in about.items() if name.endswith("/METADATA"))
    assert "Requires-Python: >=3.9" in metadata and "Requires-Dist: pantsbuild" not in metadata
    assert any(name.endswith("/licenses/LICENSE") for name in about)


def test_the_sdist_contains_the_sources_and_the_tests(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as found:
        files = {m.name.partition("/")[2]: found.extractfile(m).read() for m in found if m.isfile()}
    assert {*all_sources(), "PKG-INFO"} == set(files)
    here = sources(as_sdist=True)
    assert {name: files.get(name) for name in here} == here


def test_the_metadata_is_what_an_index_accepts(built):
    python = ROOT / ".cache/lint/bin/python"
    need(str(python))
    run(python, "-m", "twine", "check", "--strict", *built.iterdir())


def test_pants_loads_the_backend_from_the_wheel(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as found:
        found.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from pants_dockless import register;"
        "print(register.__file__, len(list(register.rules())), *(t.alias for t in register.target_types()))"
    )
    where, rules, *targets = run(interpreter("3.9"), "-I", "-c", code).stdout.split()
    assert Path(where).is_relative_to(tmp_path) and int(rules) > 0
    assert {"container_image", "image_layer", "base_image", "push_image"} <= set(targets)


@pytest.fixture(scope="module")
def environments(tmp_path_factory):
    """New environments after `pip install .`, which are created concurrently."""

    def make(version):
        python, directory = interpreter(version), tmp_path_factory.mktemp("installed")
        run(python, "-I", "-m", "venv", "--without-pip", directory)
        pip = (python, "-I", "-m", "pip", "--python", directory / "bin/python", "--disable-pip-version-check")
        run(*pip, "install", "--quiet", "--no-compile", ROOT)
        run(*pip, "check")
        return directory / "bin"

    with ThreadPoolExecutor() as pool:
        return {version: pool.submit(make, version) for version in VERSIONS}


@pytest.fixture(params=VERSIONS)
def installed(request, environments):
    return environments[request.param].result()


def test_the_command_builds_an_image(installed, tmp_path):
    assert run(installed / "dockless", "--version").stdout == f"dockless {dockless.__version__}\n"
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/main.py").write_text("print('hello')\n")
    build = ("build", "oci:out:v1", "--add", "tree:/app", "--entrypoint", '["python3", "/app/main.py"]')
    result = run(installed / "dockless", *build, cwd=tmp_path)
    image = (
        dockless.Image.scratch()
        .add_layer(dockless.Layer.from_files({"/app": str(tmp_path / "tree")}))
        .with_config(entrypoint=["python3", "/app/main.py"])
    )
    assert result.stdout == f"oci:out:v1@{image.digest}\n"
    assert run(installed / "python", "-m", "dockless", "verify", "oci:out", cwd=tmp_path).stdout == ""


def test_the_error_for_a_missing_compressor_names_the_extra(installed, tmp_path):
    (tmp_path / "f").write_text("x")
    done = run(
        installed / "dockless", "build", "oci:out", "--add", "f:/f", "--compression", "zstd", cwd=tmp_path, ok=False
    )
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "dockless[zstd]" in done.stderr


def test_the_library_imports_nothing_of_pants(installed):
    """All modules are imported in an environment without Pants. Only the fixtures need pytest."""
    code = (
        "import importlib, pkgutil, sys, dockless\n"
        "assert importlib.util.find_spec('pants') is None\n"
        "for found in pkgutil.walk_packages(dockless.__path__, 'dockless.'):\n"
        "    if not found.name.endswith('.__main__'):\n"
        "        try: importlib.import_module(found.name)\n"
        "        except ModuleNotFoundError as error: print(found.name, error.name)\n"
        "    assert not [name for name in sys.modules if name.startswith('pants')], found.name\n"
        "print(dockless.__file__)\n"
    )
    *missing, where = run(installed / "python", "-I", "-c", code).stdout.split("\n")[:-1]
    assert Path(where).is_relative_to(installed.parent)
    assert missing == ["dockless.testing.fixtures pytest"]
    assert sys.version_info < (3, 10), "these tests are run once, by the oldest interpreter"
