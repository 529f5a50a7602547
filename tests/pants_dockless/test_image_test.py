"""The target `image_test` and the goal `test`."""

import os
import re
from pathlib import Path
from typing import NamedTuple, Optional

import pytest
from made_images import make_image
from pants.core.goals.test import TestResult
from pants.engine.addresses import Address
from pants.engine.rules import QueryRule
from pants_backend import make_backend

from dockless.lockfile import Lockfile, lock_base
from dockless.oci.reference import Reference
from dockless.registry import RegistryClient, push
from dockless.testing import Registry
from pants_dockless.goals.test import ImageTestFieldSet, ImageTestRequest

IMAGE = """
files(name="files", sources=["app.sh"])
image_layer(
    name="layer",
    dependencies=[":files"],
    directory="/opt",
    modes={"*.sh": "0755"},
    inline_files={"/etc/os-release": "ID=debian\\n"},
)
container_image(
    name="image",
    layers=[":layer"],
    env={"PATH": "/opt/app"},
    platforms=%(platforms)r,
)
image_test(name="test", image=":image", %(fields)s)
"""
TESTS = """\
schemaVersion: 2.0.0
fileExistenceTests:
  - name: program
    path: /opt/app/app.sh
    permissions: %s
fileContentTests:
  - name: program
    path: /opt/app/app.sh
    expectedContents: ["^#!/bin/sh"]
metadataTest:
  envVars:
    - {key: PATH, value: /opt/app}
"""


class Metadata(NamedTuple):
    """What `test` knows about the targets that it runs in one process."""

    description: Optional[str] = None


def write(backend, fields, platforms=("linux/amd64",), tests=TESTS % "-rwxr-xr-x"):
    files = {
        "app/BUILD": IMAGE % {"fields": fields, "platforms": list(platforms)},
        "app/app.sh": "#!/bin/sh\n",
        "app/tests.yaml": tests,
    }
    backend.write_files(files)


@pytest.fixture(scope="module")
def backend():
    return make_backend([QueryRule(TestResult, [ImageTestRequest.Batch])])


def run(backend, name="test") -> TestResult:
    target = backend.get_target(Address("app", target_name=name))
    batch = ImageTestRequest.Batch("", (ImageTestFieldSet.create(target),), Metadata())
    return backend.request(TestResult, [batch])


def output(result: TestResult) -> list:
    out, err = getattr(result, "stdout_bytes", None), getattr(result, "stderr_bytes", None)
    texts = (result.stdout, result.stderr) if out is None else (out.decode(), err.decode())
    return "".join(texts).splitlines()


PAGE = (Path(__file__).parents[2] / "docs/run-and-test.md").read_text()
(PAGE_BUILD,) = re.findall(r"^```python\n# app/BUILD\n(image_test\(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(PAGE_TESTS,) = re.findall(r"^```yaml\n# app/structure_test.yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
PAGE_IMAGE = """
files(name="files", sources=["busybox"])
image_layer(
    name="layer",
    dependencies=[":files"],
    modes={"busybox": MODE},
    inline_files={"/etc/os-release": "ID=debian\\n", "/etc/app/settings.ini": "host = a\\nport = 80\\n"},
)
container_image(
    name="image",
    layers=[":layer"],
    entrypoint=["/app/busybox"],
    env={"PATH": "/app:/bin"},
    exposed_ports=["8080/tcp"],
    user="65532",
)
"""


def test_the_example_of_the_page(backend):
    backend.write_files({"app/busybox": "program", "app/structure_test.yaml": PAGE_TESTS})
    for mode in ('"0755"', '"0644"'):
        backend.write_files({"app/BUILD": PAGE_IMAGE.replace("MODE", mode) + PAGE_BUILD})
        result = run(backend, "image_test")
        if mode == '"0755"':
            assert (result.exit_code, output(result)) == (0, ["12 checks passed"])
        else:
            # The failure on the page.
            assert output(result)[0] in PAGE.splitlines()


ALL = (
    'sources=["tests.yaml"], commands=["app.sh"], forbidden_paths=["*.pem"], max_size="1 MB", '
    'os_release={"ID": "debian"}'
)


def test_a_test_that_passes(backend):
    write(backend, ALL)
    result = run(backend)
    assert (result.exit_code, output(result)) == (0, ["7 checks passed"])
    assert result.addresses == (Address("app", target_name="test"),)


def test_failures_have_path_and_line(backend):
    fields = 'sources=["tests.yaml"], commands=["sh"], forbidden_paths=["*.sh"], max_size="1 B", '
    fields += 'os_release={"ID": "^alpine"}'
    write(backend, fields, tests=TESTS % "-rw-r--r--")
    result = run(backend)
    lines = output(result)
    assert result.exit_code == 1
    assert lines[0] == (
        "app/tests.yaml:3: program: /opt/app/app.sh has the permissions -rwxr-xr-x (0755), not -rw-r--r--"
    )
    assert lines[1] == "app:test: commands: the command sh does not exist in PATH, which is /opt/app"
    assert lines[2] == "app:test: forbidden_paths: /opt/app/app.sh exists; it is a file"
    assert lines[3].startswith("app:test: max_size: the image has ")
    assert lines[4] == "app:test: os_release: ID in /etc/os-release is 'debian': no match of '^alpine'"
    assert lines[5:] == ["5 failures of 7 checks"]


def test_every_platform_is_tested(backend):
    write(backend, 'commands=["sh"]', platforms=["linux/amd64", "linux/arm64"])
    assert output(run(backend)) == [
        "linux/amd64: app:test: commands: the command sh does not exist in PATH, which is /opt/app",
        "linux/arm64: app:test: commands: the command sh does not exist in PATH, which is /opt/app",
        "2 failures of 1 check on 2 platforms",
    ]


INDEX = """
container_image(name="arm", platforms=["linux/arm64"], cmd=["arm"])
container_image(name="intel", platforms=["linux/amd64"], cmd=["intel"])
image_index(name="index", images=[":arm", ":intel"])
image_test(name="test", image=":index", sources=["tests.yaml"])
"""


def test_the_images_of_an_index_are_tested(backend):
    tests = 'schemaVersion: 2.0.0\nmetadataTest: {cmd: ["intel"]}\n'
    backend.write_files({"app/BUILD": INDEX, "app/tests.yaml": tests})
    assert output(run(backend)) == [
        "linux/arm64: app/tests.yaml:2: cmd: Cmd is ['arm'], not ['intel']",
        "1 failure of 1 check on 2 platforms",
    ]


BASE = """
base_image(name="base", reference="REGISTRY/base:1")
container_image(name="image", base=":base", env={"A": "b"})
image_test(name="test", image=":image", FIELD)
"""


@pytest.mark.parametrize(
    ("field", "downloads", "expected"),
    [
        ('max_size="1 MB"', 0, ["1 check passed"]),
        ('sources=["tests.yaml"]', 0, ["1 check passed"]),
        # f0 is a file of the base.
        ('forbidden_paths=["f0"]', 1, ["app:test: forbidden_paths: /f0 exists; it is a file", "1 failure of 1 check"]),
    ],
)
def test_layers_of_a_base_are_downloaded_if_a_check_needs_files(backend, tmp_path, field, downloads, expected):
    # Another layer for each test, because Dockless caches the layers of bases.
    base = make_image(os.urandom(16))
    with Registry() as registry:
        with RegistryClient(registry.host) as client:
            push(base.manifest, base.blobs, client, "base", ["1"])
        reference = Reference.parse(f"{registry.host}/base:1")
        locked = lock_base(reference, [], base.manifest, lambda descriptor: base.blobs[descriptor.digest])
        backend.write_files(
            {
                "app/BUILD": BASE.replace("REGISTRY", registry.host).replace("FIELD", field),
                "app/tests.yaml": 'schemaVersion: "2.0.0"\nmetadataTest: {envVars: [{key: A, value: b}]}\n',
                "base_images.lock": Lockfile.of([locked]).to_bytes().decode(),
            }
        )
        backend.set_options([], env={"HOME": str(tmp_path)}, env_inherit={"PATH"})
        registry.reset_requests()
        assert output(run(backend)) == expected
        assert [request.operation for request in registry.requests].count("blob get") == downloads


def test_a_file_that_needs_a_container_fails(backend):
    write(backend, 'sources=["tests.yaml"]', tests="schemaVersion: 2.0.0\ncommandTests: [{name: a}]\n")
    result = run(backend)
    assert result.exit_code == 1
    assert output(result)[0].startswith("error: app/tests.yaml:2: commandTests are not supported: they need a running")


def test_an_invalid_pattern_of_paths_fails(backend):
    write(backend, 'forbidden_paths=["a\\\\"]')
    result = run(backend)
    assert result.exit_code == 1
    assert output(result)[0].startswith("error: ")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "app:test: the target has no checks; add files to `sources` or set another field"),
        ('max_size="1 GiB"', "app:test: field `max_size`: '1 GiB' is not a size; write a number with B, kB, MB"),
        ('max_size="-1 B"', "app:test: field `max_size`: '-1 B' is not a size"),
        ('max_size=""', "app:test: field `max_size`: '' is not a size"),
        ('os_release={"ID": "("}', "app:test: field `os_release`: '(' is not a valid regular expression: missing"),
    ],
)
def test_wrong_fields(backend, fields, message):
    write(backend, fields)
    assert backend.error_line(lambda: run(backend)).startswith(message)


@pytest.mark.parametrize(
    ("sources", "problem"),
    [
        ('["missing.yaml"]', "the file 'missing.yaml' does not exist"),
        ('["tests.yaml", "missing.yaml"]', "the file 'missing.yaml' does not exist"),
        ('["*.json"]', "no file matches '*.json'"),
    ],
)
def test_a_missing_file_is_an_error(backend, sources, problem):
    write(backend, f"sources={sources}", tests='schemaVersion: "2.0.0"\n')
    expected = f"app:test: field `sources`: {problem}; write the file, or change the field"
    assert backend.error_line(lambda: run(backend)) == expected


def test_the_image_must_be_a_container_image(backend):
    backend.write_files(
        {"app/BUILD": 'files(name="f", sources=["a"])\nimage_test(name="test", image=":f", max_size="1 B")'}
    )
    backend.write_files({"app/a": ""})
    assert backend.error_line(lambda: run(backend)) == (
        "app:test: field `image`: the target app/a:f has the type `file`, not `container_image`; use the address of a "
        "container_image or an image_index"
    )


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("image=1", "The 'image' field in target app:test must be a string, but was `1` with type `int`."),
        ('sources=["a.txt"]', "The 'sources' field in target app:test can only contain files that end in one of"),
        ('commands="sh"', "The 'commands' field in target app:test must be an iterable of strings"),
        ("forbidden_paths=[1]", "The 'forbidden_paths' field in target app:test must be an iterable of strings"),
        ("max_size=5", "The 'max_size' field in target app:test must be a string, but was `5` with type `int`."),
        ('os_release=["a"]', "The 'os_release' field in target app:test must be a dictionary of string -> string"),
    ],
)
def test_values_of_the_wrong_type(backend, field, message):
    image = "" if field.startswith("image") else 'image=":image", '
    build = 'container_image(name="image")\nimage_test(name="test", %s%s)'
    backend.write_files({"app/BUILD": build % (image, field), "app/a.txt": ""})
    with pytest.raises(Exception) as caught:
        run(backend)
    assert message in str(caught.value)
