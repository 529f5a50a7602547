"""The examples of docs/publishing.md have the references that the page lists."""

import importlib
import json
import re
import subprocess
from pathlib import Path

import pytest
from packaging.version import Version
from pants.backend.shell import register as shell
from pants.engine.addresses import Address
from pants.version import PANTS_SEMVER
from pants_backend import make_backend

from pants_dockless.field_sets import ContainerImageFieldSet, ImageIndexFieldSet, PushImageFieldSet

PAGE = (Path(__file__).parents[2] / "docs/publishing.md").read_text()
BLOCKS = re.findall(r"^```python\n# services/shop/BUILD\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(PLUGIN,) = re.findall(r"^```python\n(# pants-plugins/.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
KINDS = {
    "container_image": ContainerImageFieldSet,
    "image_index": ImageIndexFieldSet,
    "push_image": PushImageFieldSet,
}
FILES = {"VERSION": "1.4.2\n", "server.amd64": "amd64", "server.arm64": "arm64"}


@pytest.fixture(scope="module")
def backend(tmp_path_factory):
    directory = tmp_path_factory.mktemp("plugin")
    (directory / "release_tags.py").write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(directory)
        plugin = importlib.import_module("release_tags")
        made = make_backend([*shell.rules(), *plugin.rules()], shell.target_types())
        yield made


def references(block) -> dict:
    """Return the references in the comments below each target."""
    found = {}
    name = ""
    for line in block.splitlines():
        match = re.search(r'name="(.*?)"', line)
        name = match.group(1) if match else name
        if line.startswith("# "):
            found.setdefault(name, []).append(line[2:])
    return found


def test_the_page_has_examples():
    assert len(BLOCKS) == 7
    assert all(references(block) for block in BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_references(backend, block):
    if "**parametrize(" in block and Version("2.19.0.dev0") > PANTS_SEMVER:
        # The alternative of the page for earlier releases.
        block = re.sub(r" +\*\*parametrize.*\n +\*\*.*\n", "    platforms=PARAMETERS,\n", block)
        block = block.replace("PARAMETERS", 'parametrize(amd64=["linux/amd64"], arm64=["linux/arm64"])')
        block = block.replace("@parametrize=", "@platforms=")
    backend.write_files({"services/shop/BUILD": block, **{f"services/shop/{k}": v for k, v in FILES.items()}})
    registries = {"main": {"address": "ghcr.io", "default": True}}
    backend.set_options(
        [f"--dockless-registries={registries!r}", "--dockless-default-repository=acme/{name}"],
        env_inherit={"PATH", "HOME"},
    )
    commit = "0123456789ab"
    if "{git." in block:
        git = ["git", "-C", backend.build_root, "-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run([*git, "init", "--quiet"], check=True)
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "-m", "x"], check=True)
        head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
        commit = head.stdout[:12]
    for name, expected in references(block).items():
        target = backend.get_target(Address("services/shop", target_name=name))
        files = backend.files(backend.package(f"services/shop:{name}", KINDS[target.alias]))
        found = json.loads(files[f"services.shop/{name}.json"])["references"]
        assert found == [text.replace("0123456789ab", commit) for text in expected]
