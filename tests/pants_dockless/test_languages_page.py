"""The examples of docs/languages.md, with stand-ins for compilers and package managers."""

import io
import os
import re
import zipfile
from pathlib import Path

import pytest
from pants.backend.shell import register as shell
from pants_backend import make_backend

PAGE = (Path(__file__).parents[2] / "docs/languages.md").read_text()
BLOCKS = dict(re.findall(r"^```python\n# (\w+)/BUILD\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
# The bases of the examples are not locked.
BASE = re.compile(r'^base_image\(.*\)\n|^ *base=":\w+",\n', re.MULTILINE)
NPM = """#!/bin/sh
[ "$1" = ci ] && [ -f package-lock.json ] && /bin/mkdir -p node_modules/dep && echo x > node_modules/dep/index.js
echo {} > node_modules/.package-lock.json
"""


@pytest.fixture(scope="module")
def backend():
    return make_backend(shell.rules(), shell.target_types())


@pytest.fixture
def build(backend, tmp_path):
    """build(example, files) packages an example and returns the digests of its layers, the highest last."""
    for name in ("npm", "node"):
        (tmp_path / name).write_text(NPM)
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    backend.set_options([f"--shell-setup-executable-search-paths=['{tmp_path}', '<PATH>']"], env={"PATH": path})

    def package(example, files, old="", new=""):
        text = re.sub(old, new, BASE.sub("", BLOCKS[example]), flags=re.MULTILINE)
        backend.write_files({f"{example}/BUILD": text, **{f"{example}/{name}": data for name, data in files.items()}})
        description = backend.description(f"{example}:image")
        return [layer["digest"] for layer in description["layers"]]

    return package


def test_go(build):
    targets = r"^go_mod.*\ngo_package.*\ngo_binary.*"
    change = {"old": targets, "new": 'file(name="server", source="server")'}
    assert len(build("api", {"server": b"program"}, **change)) == 1


def jar(text: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("com/example/Server.class", text)
        archive.writestr("org/library/Class.class", "library")
    return file.getvalue()


def test_java(build):
    change = {"old": r"deploy_jar\(.*\)", "new": 'file(name="server", source="server.jar")'}
    before, after = (build("shop", {"server.jar": jar(text)}, **change) for text in ("old", "new"))
    assert before[0] == after[0] and before[1] != after[1]


def test_node(build):
    before, after = (
        build("web", {"package.json": "{}", "package-lock.json": "{}", "server.js": text}) for text in ("old", "new")
    )
    assert before[0] == after[0] and before[1] != after[1]
