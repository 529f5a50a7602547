"""docs/testing.md: its examples run, and its tables are complete."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dockless
from dockless.testing import PROFILES, Fault, read_faults

SOURCES = Path(dockless.__file__).parents[1]
PAGE = (Path(__file__).parents[3] / "docs" / "testing.md").read_text()
EXAMPLES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE, re.DOTALL))


def test_the_examples_run(tmp_path):
    assert len(EXAMPLES) == PAGE.count("```python") == 5
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SOURCES), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, done.stdout.decode()
    assert b"7 passed" in done.stdout


def test_the_example_file_of_faults_is_valid(tmp_path):
    (tmp_path / "faults.json").write_text(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])
    assert len(read_faults(tmp_path / "faults.json")) == 3


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Fault)])
def test_every_field_of_a_fault_is_documented(name):
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| ")]
    assert any(f"`{name}`" in row for row in rows)


def test_every_profile_is_documented():
    section = PAGE.split("## Profiles of real registries")[1]
    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) == [*PROFILES]
