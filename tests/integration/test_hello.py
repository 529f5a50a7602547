"""The first commands of the README with real Pants, and the results as other tools see them."""

import json
import os
import shutil

import pytest
from pants_command import registries_option
from pants_output import ONLY_DOCKLESS
from real_tools import ROOT, need, run

HELLO = "testprojects/hello:image"
RUN_SH = """#!/app/e2e/busybox sh
echo "$GREETING $1 from $(/app/e2e/busybox pwd) as $(/app/e2e/busybox id -u)"
"""


def hello_digest(checkout, **options) -> str:
    shutil.rmtree(checkout.root / "dist", ignore_errors=True)
    checkout.pants("package", HELLO, **options)
    return checkout.description("testprojects.hello/image.json")["digest"]


@pytest.fixture(scope="module")
def checkout(checkout):
    checkout.env.update(ONLY_DOCKLESS)
    return checkout


@pytest.fixture(scope="module")
def packaged(checkout):
    """The output of the first `package`, and the description that it wrote."""
    done = checkout.pants("package", HELLO)
    return done, checkout.description("testprojects.hello/image.json")


def test_package_writes_a_layout_that_skopeo_reads_and_prints_digest_and_size(checkout, packaged):
    need("skopeo")
    done, description = packaged
    assert description["address"] == HELLO
    assert f"digest: {description['digest']}" in done.err
    assert "size: " in done.err
    layout = checkout.root / "dist/testprojects.hello/image"
    found = json.loads(run("skopeo", "inspect", f"oci:{layout}").out)
    assert found["Digest"] == description["digest"]
    assert found["Layers"] == [layer["digest"] for layer in description["layers"]]
    assert description["size"] == sum(os.path.getsize(path) for path in layout.glob("blobs/sha256/*"))


def test_the_tests_find_pantsd(checkout, packaged):
    """The fixtures end the daemon by its process ID."""
    assert len(checkout.daemons()) == 1


def test_the_digest_is_a_literal(packaged):
    """A change of the literal changes every image of every user and needs an entry in CHANGELOG.md."""
    assert packaged[1]["digest"] == "sha256:676a50b686169b83ad3f23df46f4b3681b6331c42bc250400cc81d7801f3b5b7"


def test_publish_gives_the_packaged_digest_and_sends_nothing_twice(checkout, packaged, docker_registry, tmp_path):
    need("skopeo", "umoci")
    registry = registries_option(docker_registry.host)
    output = tmp_path / "published.json"
    done = checkout.pants(registry, "publish", f"--output={output}", HELLO)
    digest = packaged[1]["digest"]
    assert f"{docker_registry.host}/image:latest published" in done.err
    (published,) = json.loads(output.read_text())
    assert published["digest"] == digest
    assert published["names"] == [f"{docker_registry.host}/image:latest"]
    assert published["published"] is True
    found = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{docker_registry.host}/image").out)
    assert found["Digest"] == digest

    docker_registry.forget()
    checkout.pants(registry, "publish", HELLO)
    requests = docker_registry.requests()
    assert requests, "the second publish asked nothing"
    assert not [request for request in requests if request.split()[0] in ("POST", "PATCH", "PUT")], requests
    assert len(requests) <= 2

    copied, bundle = tmp_path / "copied", tmp_path / "bundle"
    run("skopeo", "copy", "--src-tls-verify=false", f"docker://{docker_registry.host}/image", f"oci:{copied}:image")
    run("umoci", "unpack", "--image", f"{copied}:image", bundle)
    for path in ("srv/testprojects/hello/hello.txt", "etc/hello/testprojects/hello/hello.ini"):
        unpacked = bundle / "rootfs" / path
        assert unpacked.read_bytes() == (ROOT / "testprojects/hello" / unpacked.name).read_bytes()
        assert (unpacked.stat().st_mode & 0o7777, unpacked.stat().st_mtime) == (0o644, 0)


def test_push_image_pushes_to_another_destination_and_its_package_is_a_plan(checkout, packaged, docker_registry):
    registry = registries_option(docker_registry.host)
    checkout.pants(registry, "package", "testprojects/hello:push")
    digest = packaged[1]["digest"]
    plan = checkout.description("testprojects.hello/push.json")
    assert plan["digest"] == digest
    assert plan["references"] == [f"{docker_registry.host}/demo/push:{tag}" for tag in ("1.0", digest[7:])]
    checkout.pants(registry, "publish", "testprojects/hello:push")
    for reference in plan["references"]:
        found = json.loads(run("skopeo", "inspect", "--tls-verify=false", f"docker://{reference}").out)
        assert found["Digest"] == digest


def test_the_digest_does_not_depend_on_path_time_umask_and_locale(packaged, another_checkout):
    for path in (another_checkout.root / "testprojects").rglob("*"):
        os.utime(path, (1234567890, 1234567890))
        if path.is_file():
            path.chmod(0o600)
    strange = {"LANG": "tr_TR.UTF-8", "LC_ALL": "C", "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7"}
    another_checkout.env.update(ONLY_DOCKLESS)
    there = hello_digest(another_checkout, pantsd=False, umask=0o077, **strange)
    assert there == packaged[1]["digest"]


def test_a_second_package_without_pantsd_and_dist_runs_no_layer_process(checkout, packaged):
    """Another process of Pants computes the same keys of the cache."""
    shutil.rmtree(checkout.root / "dist")
    done = checkout.pants("package", HELLO, pantsd=False)
    assert "Starting: Build the layer" not in done.err
    assert checkout.description("testprojects.hello/image.json") == packaged[1]


def test_the_published_image_runs(checkout, docker_registry, podman):
    need("busybox")
    directory = checkout.root / "e2e"
    directory.mkdir()
    shutil.copy(shutil.which("busybox"), directory / "busybox")
    (directory / "run.sh").write_text(RUN_SH)
    (directory / "run.sh").chmod(0o755)
    (directory / "BUILD").write_text(
        """
files(name="files", sources=["busybox", "run.sh"])
container_image(
    name="image",
    dependencies=[":files"],
    directory="/app",
    entrypoint=["/app/e2e/run.sh"],
    cmd=["nobody"],
    env={"GREETING": "hello"},
    workdir="/app",
    user="1000:1000",
)
"""
    )
    checkout.pants(registries_option(docker_registry.host), "publish", "e2e:image")
    reference = f"{docker_registry.host}/image:latest"
    assert podman("run", "--rm", "--tls-verify=false", reference, "world").out == "hello world from /app as 1000\n"
    assert podman("run", "--rm", "--tls-verify=false", reference).out == "hello nobody from /app as 1000\n"
