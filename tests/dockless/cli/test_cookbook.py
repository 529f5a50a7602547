"""The recipes of the cookbook run from top to bottom, with free ports instead of the ports in the text."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs/cookbook.md").read_text()
BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
# These blocks prepare the recipes, as the fixtures here do.
NOT_RUN = ("pip install", "dockless serve")


@pytest.fixture
def scene(tmp_path, registry, other):
    """Returns a function that runs a block: in a directory, with two registries, and Python in this process."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name, command in (("dockless", "-m dockless"), ("python3", "")):
        (directory / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n')
        (directory / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{directory}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    hosts = {"localhost:5000": registry.host, "localhost:5001": other.host}

    def run(kind, code):
        for name, host in hosts.items():
            code = code.replace(name, host.replace("127.0.0.1", "localhost"))
        if kind == "python":
            exec(compile(code, f"<{code.splitlines()[-1]}>", "exec"), {"__name__": "__main__"})
            return
        command = ["bash", "-euo", "pipefail", "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"

    return run


def test_every_recipe(scene, registry):
    ran = 0
    for block in BLOCK.finditer(PAGE):
        kind, code = block["kind"], block["code"]
        assert kind in ("sh", "python"), f"a block is of the kind {kind!r}"
        if code.startswith(NOT_RUN):
            continue
        scene(kind, code)
        ran += 1
    assert ran >= 40
    assert {"1.0.0", "1.0.1", "1.0.2", "1.1.0", "1.1.1", "multi", "dated", "without"} <= set(registry.tags("app"))


def test_the_readme(scene, registry, tmp_path):
    (section,) = re.findall(r"^## Without Pants\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    shutil.copytree(ROOT / "testprojects", tmp_path / "testprojects")
    blocks = [(block["kind"], block["code"]) for block in BLOCK.finditer(section)]
    assert [kind for kind, _ in blocks] == ["sh", "python"]
    for kind, code in blocks:
        scene(kind, code)
    assert set(registry.tags("hello")) == {"1.0.0", "1.0.1"}
    assert (tmp_path / "hello.tar").is_file()


def test_every_heading_is_listed_and_every_link_has_a_target():
    headings = re.findall(r"^## (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert links == anchors
