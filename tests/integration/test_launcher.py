"""`./pants` creates its virtual environment completely or not at all."""

import os
import shutil

import pytest
from real_tools import ROOT, run


@pytest.fixture
def launcher(tmp_path):
    """A directory with the launcher and the files that it reads, without a virtual environment."""
    for path in ("pants", "requirements/venv.sh", "requirements/pants.txt"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def env(**more: str) -> dict:
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **more}


def test_a_broken_installation_leaves_nothing(launcher):
    with open(launcher / "requirements/pants.txt", "a") as file:
        file.write("\nthere-is-no-such-package-of-dockless==1 --hash=sha256:" + "0" * 64 + "\n")
    done = run(launcher / "pants", "--version", cwd=launcher, env=env(), ok=False)
    assert done.code != 0
    assert "error: could not make" in done.err and "run this again" in done.err
    assert not (launcher / ".venv").exists()


def test_a_missing_interpreter_is_an_error_with_a_hint(launcher, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "cmp", "dirname", "mkdir", "flock", "rm"):
        (tools / tool).symlink_to(shutil.which(tool))
    done = run(
        launcher / "pants", "--version", cwd=launcher, env=env(PATH=str(tools), PYENV_ROOT=str(tmp_path)), ok=False
    )
    assert done.code != 0
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert "no CPython 3.9 was found" in line and "install it" in line
    assert not (launcher / ".venv").exists()


def test_a_complete_environment_is_used_unchanged(launcher):
    """The launcher only compares the copy of the requirements in the environment."""
    (launcher / ".venv/bin").mkdir(parents=True)
    shutil.copy(launcher / "requirements/pants.txt", launcher / ".venv/requirements.txt")
    (launcher / ".venv/bin/python").write_text('#!/bin/sh\nshift 2\necho "$@"\n')
    (launcher / ".venv/bin/python").chmod(0o755)
    output = run(launcher / "pants", "package", "::", cwd=launcher, env=env()).out
    assert output == f"{launcher}/.venv/bin/pants --pants-config-files={launcher}/pants.2.17.toml package ::\n"
