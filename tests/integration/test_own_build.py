"""Pants builds the wheel and the image of this repository with the backend. Other goals work too."""

import zipfile

import pytest
from pants_command import is_another_pants, registries_option
from real_tools import ROOT, Checkout, need, run
from remote_project import HELLO_DIGEST, SERVICE_DIGEST

import dockless

# The config file that `./pants` adds to pants.toml.
CONFIG = () if is_another_pants() else (f"--pants-config-files={ROOT}/pants.2.17.toml",)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory, caches):
    """The checkout after `package ::`."""
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), caches, own_targets=True)
    try:
        checkout.pants(*CONFIG, "package", "::")
        yield checkout
    finally:
        checkout.close()


def test_package_makes_everything(packaged):
    wheel = f"dockless-{dockless.__version__}-py3-none-any.whl"
    directories = ("testprojects.hello/image", "testprojects.service/image")
    files = ("testprojects.hello/push.json", "testprojects.service/server.pex", wheel)
    for name in ("base", "dockless.pex", "image", *directories):
        assert (packaged.root / "dist" / name).is_dir(), name
    for name in ("base.json", "image.json", *files):
        assert (packaged.root / "dist" / name).is_file(), name
    assert packaged.description("testprojects.hello/image.json")["digest"] == HELLO_DIGEST
    assert is_another_pants() or packaged.description("testprojects.service/image.json")["digest"] == SERVICE_DIGEST


def test_the_wheel_has_the_content_that_build_gives_it(packaged, tmp_path):
    python = ROOT / ".cache/test-3.9/bin/python"
    need(str(python))
    run(python, "-m", "build", "--wheel", "--outdir", tmp_path, ROOT)
    contents = []
    for directory in (packaged.root / "dist", tmp_path):
        (wheel,) = directory.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist()})
    assert contents[0] == contents[1]


def test_the_image_runs_the_command(packaged, docker_registry, podman, tmp_path):
    need("skopeo")
    registries = registries_option(docker_registry.host)
    packaged.pants(*CONFIG, registries, "publish", "//:image")
    reference = f"{docker_registry.host}/dockless:latest"
    pushed = run("skopeo", "inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{reference}").out.strip()
    assert pushed == packaged.description("image.json")["digest"]

    command = ("run", "--rm", "--tls-verify=false", "--read-only")
    assert podman(*command, reference, "--version").out == f"dockless {dockless.__version__}\n"

    source, result = tmp_path / "source", tmp_path / "result"
    source.mkdir()
    (source / "hello.txt").write_text("hello\n")
    result.mkdir()
    result.chmod(0o777)
    volumes = (f"--volume={source}:/source:ro", f"--volume={result}:/result")
    build = ("build", "oci:/result/hello", "--add", "/source:/app")
    digest = podman(*command, *volumes, reference, *build).out.strip().partition("@")[2]
    expected = dockless.Image.scratch().add_layer(dockless.Layer.from_files({"/app": str(source)}))
    assert digest == expected.digest


def test_other_goals_find_the_sources(packaged):
    listed = packaged.pants(*CONFIG, "list", "::").out.splitlines()
    for target in (
        "//:image",
        "//:wheel",
        "pants-plugins/pants_dockless/register.py:../pants-plugins",
        "src/dockless/errors.py:../src",
        "tests/dockless/test_manifest.py:../library",
        "tests/integration/test_own_build.py:../system",
    ):
        assert target in listed
    dependents = packaged.pants(*CONFIG, "dependents", "--transitive", "src/dockless/oci/manifest.py").out.splitlines()
    assert {"//:image", "//:wheel", "tests/dockless/test_manifest.py:../library"} <= {*dependents}


def test_lint_and_test_pass(packaged):
    assert is_another_pants() or "ruff succeeded" in packaged.pants(*CONFIG, "lint", "::").err
    done = packaged.pants(*CONFIG, "test", "tests/dockless/test_manifest.py")
    assert "tests/dockless/test_manifest.py:../library succeeded" in done.err
