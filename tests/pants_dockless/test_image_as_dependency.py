"""An image is a dependency of other targets: its layout and its `.json` file are in their sandboxes."""

import json
import re
from pathlib import Path

import pytest
from pants.backend.experimental.adhoc import register as adhoc
from pants.backend.python.target_types import PythonTestTarget
from pants.backend.shell.target_types import ShellCommandTarget
from pants.backend.shell.util_rules import shell_command
from pants.core.goals import test as test_goal
from pants.core.goals.package import BuiltPackage
from pants.core.goals.test import (
    BuildPackageDependenciesRequest,
    BuiltPackageDependencies,
    RuntimePackageDependenciesField,
)
from pants.core.target_types import ArchiveFieldSet, FileSourceField
from pants.core.util_rules import archive
from pants.engine.addresses import Address
from pants.engine.fs import DigestContents
from pants.engine.rules import QueryRule
from pants.engine.target import HydratedSources, HydrateSourcesRequest, SourcesField, Target
from pants_backend import make_backend

from pants_dockless.field_sets import PushImageFieldSet

IMAGE = """
container_image(
    name="image", dependencies=[":content"], registries=["127.0.0.1:5000"], repository="team/app", OUTPUT
)
file(name="content", source="content.txt")
push_image(name="push", image=":image", registries=["reg.example"], repository="push", image_tags=["1"])
"""
PAGE = (Path(__file__).parents[2] / "docs/run-and-test.md").read_text()
(RECIPE,) = re.findall(r"^```python\n# app/BUILD\n(file\(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(TEMPLATE,) = re.findall(r"^```yaml\n# app/deployment.yaml.in\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(PYTEST_TARGET,) = re.findall(r"^```python\n# app/BUILD\n(python_tests\(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
# The target that the rules of the Python backend generate.
PYTEST_TARGET = PYTEST_TARGET.replace("python_tests(", "python_test(").replace(
    'sources=["test_image.py"]', 'source="test_image.py"'
)
(PYTEST,) = re.findall(r"^```python\n# app/test_image.py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def backend():
    made = make_backend(
        [
            *adhoc.rules(),
            *archive.rules(),
            *shell_command.rules(),
            test_goal.build_runtime_package_dependencies,
            QueryRule(HydratedSources, [HydrateSourcesRequest]),
            QueryRule(BuiltPackage, [ArchiveFieldSet]),
            QueryRule(BuiltPackageDependencies, [BuildPackageDependenciesRequest]),
        ],
        [*adhoc.target_types(), ShellCommandTarget, PythonTestTarget],
    )
    return made


def write(backend, more: str, output: str = ""):
    backend.write_files({"app/BUILD": IMAGE.replace("OUTPUT", output) + more, "app/deployment.yaml.in": TEMPLATE})
    backend.write_files({"app/content.txt": "content"})


def target(backend, name: str) -> Target:
    return backend.get_target(Address("app", target_name=name))


def digest_of_image(backend) -> str:
    return backend.description("app:image")["digest"]


def generated(backend, name: str) -> dict:
    """Return the files that a code generator makes."""
    field = target(backend, name)[SourcesField]
    request = HydrateSourcesRequest(field, for_sources_types=(FileSourceField,), enable_codegen=True)
    sources = backend.request(HydratedSources, [request])
    return {file.path: file.content.decode() for file in backend.request(DigestContents, [sources.snapshot.digest])}


def test_the_recipe_writes_the_digest_into_a_yaml_file(backend):
    write(backend, RECIPE)
    digest = digest_of_image(backend)
    assert generated(backend, "deployment") == {"app/deployment.yaml": TEMPLATE.replace("@DIGEST@", digest)}
    write(backend, RECIPE.replace(":image", ":push").replace("image.json", "push.json"))
    assert generated(backend, "deployment") == {"app/deployment.yaml": TEMPLATE.replace("@DIGEST@", digest)}


def test_a_shell_command_reads_the_layout(backend):
    write(
        backend,
        """
shell_command(
    name="listing",
    command="ls image/oci-layout image/index.json image.json > listing",
    tools=["ls"],
    execution_dependencies=[":image"],
    output_files=["listing"],
)
""",
    )
    assert generated(backend, "listing") == {"app/listing": "image.json\nimage/index.json\nimage/oci-layout\n"}


def test_an_adhoc_tool_reads_the_description(backend):
    write(
        backend,
        """
system_binary(name="cat", binary_name="cat")
adhoc_tool(
    name="copied",
    runnable=":cat",
    args=["image.json"],
    execution_dependencies=[":image"],
    stdout="copied.json",
)
""",
        'output="metadata"',
    )
    assert json.loads(generated(backend, "copied")["app/copied.json"])["digest"] == digest_of_image(backend)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", {"app/image/index.json", "app/image/oci-layout", "app/image.json"}),
        ('output="oci-archive"', {"app/image.tar", "app/image.json"}),
        ('output="metadata"', {"app/image.json"}),
    ],
)
def test_the_packages_of_a_test(backend, output, expected):
    write(backend, PYTEST_TARGET.replace('":image"', '":image", ":push"'), output)
    files = packages_of_the_test(backend)
    assert {path for path in files if "/blobs/" not in path} == {*expected, "app/push.json"}


def packages_of_the_test(backend) -> dict:
    """Return the files of packages that Pants adds to the sandbox of a `python_test`."""
    backend.write_files({"app/test_image.py": PYTEST})
    request = BuildPackageDependenciesRequest(target(backend, "tests")[RuntimePackageDependenciesField])
    packages = backend.request(BuiltPackageDependencies, [request])
    return {path: data for package in packages for path, data in backend.files(package).items()}


def test_the_example_with_pytest(backend, tmp_path, monkeypatch):
    write(backend, PYTEST_TARGET)
    for path, data in packages_of_the_test(backend).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    example: dict = {}
    exec(PYTEST, example)
    tests = [value for name, value in example.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()


def test_an_archive_contains_the_image(backend):
    write(backend, 'archive(name="archive", packages=[":image"], format="tar")')
    package = backend.request(BuiltPackage, [ArchiveFieldSet.create(target(backend, "archive"))])
    assert list(backend.files(package)) == ["app/archive.tar"]


def test_the_description_of_a_push_image_has_the_digest(backend):
    write(backend, "")
    (content,) = backend.files(backend.package("app:push", PushImageFieldSet)).values()
    assert json.loads(content) == {
        "address": "app:push",
        "digest": digest_of_image(backend),
        "references": ["reg.example/push:1"],
    }
