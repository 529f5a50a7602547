import subprocess
import sys

import pytest

BASH = r"""
source "./$1"
COMP_WORDS=("${@:2}")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_shtab_dockless dockless "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module", autouse=True)
def shtab():
    return pytest.importorskip("shtab")


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        (["b"], ["build"]),
        (["re"], ["repositories"]),
        (["copy", "--all"], ["--all-platforms"]),
        (["build", "--format", ""], ["oci", "docker"]),
        (["copy", "oci:x", "fi"], ["file.tar"]),
        (["copy", "--ca-file", "fi"], ["file.tar"]),
    ],
)
def test_bash(dockless, tmp_path, words, completions):
    result = dockless("completion", "bash")
    assert (result.status, result.err) == (0, "")
    (tmp_path / "script").write_text(result.out)
    (tmp_path / "file.tar").touch()
    command = ["bash", "-c", BASH, "bash", "script", "dockless", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout.split() == completions, done.stderr


@pytest.mark.parametrize("shell", ["bash", "fish", "powershell", "tcsh", "zsh"])
def test_every_command_is_in_the_script_of_every_shell(dockless, shell):
    script = dockless("completion", shell, "--json").json["script"]
    assert {command for command in ("build", "repositories", "completion") if command not in script} == set()


def test_the_package_may_be_missing(dockless, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    result = dockless("completion", "bash")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "dockless: error: the package shtab is not installed; install the extra: pip install 'dockless[completion]'\n"
    )
    assert dockless("completion", "sh").status == 2
