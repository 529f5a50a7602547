"""The examples of README.md for a repository that uses the backend."""

import gzip
import io
import json
import re
import tarfile
from pathlib import Path

from pants.core.goals.publish import PublishProcesses
from pants.engine.addresses import Address

import dockless
from pants_dockless.goals.publish import PublishContainerImageFieldSet, PublishContainerImageRequest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
(SECTION,) = re.findall(r"^## In your repository\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
(PANTS_TOML,) = re.findall(r"^```toml\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
BUILD, BUILD_FROM_NOTHING, BUILD_WITH_BASE = re.findall(r"^```python\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)


def test_the_example_pants_toml_installs_this_version():
    assert f'\nplugins = ["dockless=={dockless.__version__}"]\n' in PANTS_TOML
    assert '\nbackend_packages.add = ["pants_dockless"]\n' in PANTS_TOML
    assert set(re.findall(r"dockless\S*==([0-9.]+)", README)) == {dockless.__version__}


def test_the_example_targets_are_published_to_the_example_registry(backend):
    server = 'file(name="server", source="server.pex")\n'
    backend.write_files({"app/a.ini": "", "app/server.pex": "", "app/BUILD": BUILD + server})
    (registry,) = re.findall(r"^\[dockless\.registries\.(\w+)\]\n", PANTS_TOML, re.MULTILINE)
    keys = dict(re.findall(r"^(address|repository) = (\".*\")$", PANTS_TOML, re.MULTILINE))
    entry = {"default": True, **{key: value.strip('"') for key, value in keys.items()}}
    backend.set_options([f"--dockless-registries={ {registry: entry}!r}"], env_inherit={"PATH"})
    field_set = PublishContainerImageFieldSet.create(backend.get_target(Address("app", target_name="image")))
    request = PublishContainerImageRequest(field_set, (backend.package("app:image"),))
    (published,) = backend.request(PublishProcesses, [request])
    assert published.names == ("ghcr.io/acme/image:1.2.3", "ghcr.io/acme/image:latest")
    assert backend.get_target(Address("app", target_name="mirror")).alias == "push_image"


def test_the_example_from_nothing_has_the_directories(backend):
    server = 'file(name="server", source="server.pex")\n'
    backend.write_files({"app/server.pex": "", "app/BUILD": BUILD_FROM_NOTHING + server})
    files = backend.files(backend.package("app:image"))
    lowest = json.loads(files["app/image.json"])["layers"][0]["digest"]
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(files[f"app/image/blobs/sha256/{lowest[7:]}"]))) as tar:
        found = {member.name: (member.mode, member.uid, member.gid) for member in tar if member.isdir()}
    assert found == {
        "data": (0o700, 1000, 1000),
        "run": (0o755, 0, 0),
        "tmp": (0o1777, 0, 0),
        "var/tmp": (0o1777, 0, 0),
    }


def test_the_example_with_a_base_needs_the_lockfile(backend):
    server = 'file(name="server", source="server.pex")\n'
    backend.write_files({"app/server.pex": "", "app/BUILD": BUILD_WITH_BASE + server})
    line = backend.error_line(lambda: backend.package("app:image"))
    assert "generate-lockfiles --resolve=base-images" in line


def test_the_dependencies_are_those_of_the_distribution():
    (sentence,) = re.findall(r"^- \*\*Dependencies\.\*\* (.*?)\. ", README, re.MULTILINE | re.DOTALL)
    (required,) = re.findall(
        r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL
    )
    assert set(re.findall(r"`(.*?)`", sentence)) == set(re.findall(r'"([a-z0-9-]+)', required))
