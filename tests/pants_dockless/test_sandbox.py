"""The program that runs in a layer's sandbox, run as Pants runs it."""

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pants_dockless
import pytest

from dockless.testing import Registry

MAIN = Path(pants_dockless.__file__).parent / "scripts/build_layer.py"


@pytest.fixture
def sandbox(tmp_path):
    """A folder with the program, its packages and a source; run(...) runs it there."""
    tools = tmp_path / "__dockless"
    tools.mkdir()
    shutil.copy(MAIN, tools)
    for package in ("dockless", "deflate"):
        (place,) = find_spec(package).submodule_search_locations
        shutil.copytree(place, tools / package, ignore=shutil.ignore_patterns("__pycache__", "registry", "cli"))
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


def test_a_layer_is_built_and_described(sandbox, tmp_path):
    done = sandbox(spec())
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    (blob,) = (tmp_path / "blobs/sha256").iterdir()
    assert said["descriptor"]["digest"] == f"sha256:{blob.name}"
    assert said["descriptor"]["size"] == blob.stat().st_size


def test_a_mistake_is_one_line_and_leaves_no_blob(sandbox, tmp_path):
    done = sandbox(spec("/a/../b"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert not list((tmp_path / "blobs").rglob("*.*"))
    assert sandbox({"sources": [], "unheard_of": 1}).stderr.startswith("error: the layer's description has the unknown")


def test_start_up_is_short_and_knows_no_network(sandbox):
    """Each layer is a process: what it imports is what it costs. How much that is, is for a benchmark to say."""
    modules = set(re.findall(r"import time:\s+\d+ \|\s+\d+ \|\s+(\S+)", sandbox(spec(), "-X", "importtime").stderr))
    assert not modules & {"socket", "ssl", "http.client", "urllib.request", "requests", "urllib3", "tarfile", "email"}
    assert len(modules) < 150


@pytest.fixture
def lock(tmp_path):
    """`lock(old, *update)` runs the program that writes the lockfile of `bases` (none), as Pants runs it."""
    (library,) = find_spec("dockless").submodule_search_locations

    def run(old: str, *update: str, bases: tuple = ()) -> subprocess.CompletedProcess:
        (tmp_path / "old").write_text(old)
        plan = {
            "import_from": [str(Path(library).parent)],
            "old": "old",
            "new": "new",
            "bases": bases,
            "update": update,
        }
        (tmp_path / "plan.json").write_text(json.dumps(plan))
        argv = (sys.executable, "-I", MAIN.parent / "lock_bases.py", "plan.json")
        return subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("broken", ["<<<<<<< HEAD\n{}", "{}", '{"version": 99}', ""])
def test_a_lockfile_that_is_broken_is_written_anew(lock, tmp_path, broken):
    """It is the command that the errors name."""
    done = lock(broken)
    assert done.returncode == 0, done.stderr
    (notice,) = json.loads(done.stdout)
    assert notice.startswith("the lockfile that is there") and notice.endswith("; it is written anew")
    assert lock((tmp_path / "new").read_text()).stdout == "[]"


def test_an_update_of_what_is_no_base_is_an_error(lock, tmp_path):
    done = lock('{"version": 1, "bases": {}}', "reg.example/bsuy:1")
    assert done.returncode == 1
    assert done.stderr.endswith("[dockless].update_bases names reg.example/bsuy:1, which is no base here\n")


def test_a_base_that_cannot_be_locked_is_told_with_who_names_it(lock, tmp_path):
    with Registry() as registry:
        reference = f"{registry.host}/nothing:1"
        base = {"reference": reference, "platforms": [], "named": "app:base: field `reference`", "insecure": False}
        done = lock("", bases=(base,))
    assert done.returncode == 1 and not (tmp_path / "new").exists()
    assert done.stderr.startswith(f"error: app:base: field `reference`: GET {registry.url}/v2/nothing/manifests/1: 404")
    assert done.stderr.count("\n") == 1
