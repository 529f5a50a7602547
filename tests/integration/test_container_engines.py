"""A real Docker engine, containerd and podman load, pull, run, push and save images of Dockless."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from container_engines import containerd, docker_engine
from environments import environment_options, worker_image
from pants.core.goals.run import RunRequest
from pants.engine.addresses import Address
from pants.engine.rules import QueryRule
from pants_backend import make_backend
from pants_command import VARIABLE, is_another_pants
from pants_output import ONLY_DOCKLESS, counters
from real_tools import ROOT, Checkout, containers_storage, need, run

from dockless import Image, ImageIndex, InlineFile, Layer, copy_image
from dockless.testing import Registry
from pants_dockless.goals.run import RunImageFieldSet

SHELL = "/app/busybox"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@pytest.fixture(scope="module")
def docker():
    with docker_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def ctr():
    with containerd() as engine:
        yield engine


@pytest.fixture(scope="module")
def image():
    """An image with a shell, a file of a random owner and an environment, in two layers."""
    need("busybox")
    base = Layer.from_files({SHELL: shutil.which("busybox")})
    text = Layer.from_files(
        {"/data/text": InlineFile("text of the image\n", mode=0o640)}, owners={"/data/text": "1234:5678"}
    )
    return (
        Image.scratch(f"linux/{MACHINE}")
        .add_layer(base)
        .add_layer(text)
        .with_config(entrypoint=[SHELL, "sh", "-c"], env={"NAME": "value"}, working_dir="/data", user="1234")
    )


PRINT = 'echo "$NAME $PWD $(/app/busybox id -u) $(/app/busybox cat text) $(/app/busybox stat -c %u:%g:%a text)"'
PRINTED = "value /data 1234 text of the image 1234:5678:640\n"


def config_digest(image: Image) -> str:
    return json.loads(image.manifest_bytes)["config"]["digest"]


def run_docker(docker, name: str) -> str:
    return docker("run", "--rm", "--network=none", name, PRINT).out


def test_docker_loads_a_docker_archive(docker, image, tmp_path):
    image.save(f"docker-archive:{tmp_path}/image.tar:test/archive:1")
    assert docker("load", "--input", f"{tmp_path}/image.tar").out == "Loaded image: test/archive:1\n"
    assert docker("image", "inspect", "--format", "{{.Id}}", "test/archive:1").out.strip() == config_digest(image)
    assert run_docker(docker, "test/archive:1") == PRINTED


def test_docker_loads_an_oci_archive_since_25(docker, image, tmp_path):
    image.save(f"oci-archive:{tmp_path}/image.tar:docker.io/test/oci:1")
    loaded = docker("load", "--input", f"{tmp_path}/image.tar", ok=False)
    version = docker("version", "--format", "{{.Server.Version}}").out
    if int(version.split(".")[0]) < 25:
        assert loaded.code == 1
        assert "no such file or directory" in loaded.err
        return
    assert (loaded.code, loaded.err) == (0, "")
    assert run_docker(docker, "test/oci:1") == PRINTED


@contextmanager
def dockless_serve() -> Iterator[str]:
    """Runs the command `dockless serve`, and returns the registry's address."""
    command = [sys.executable, "-m", "dockless", "serve", "--listen=127.0.0.1:0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)
    try:
        yield re.search(r"http://(127\.0\.0\.1:[0-9]+)", process.stdout.readline())[1]
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_docker_pulls_runs_and_pushes(docker, image):
    """With the command `dockless serve`. The image is one of an index, and the other one cannot run on this machine."""
    other = Image.scratch("linux/s390x").add_layer(Layer.from_files({SHELL: InlineFile("not a program", mode=0o755)}))
    index = ImageIndex([other, image])
    with dockless_serve() as host:
        name = f"{host}/test/pulled"
        pushed = index.save(name, tags=["1"])
        docker("pull", "--quiet", f"{name}@{pushed.digest}")
        assert run_docker(docker, f"{name}@{pushed.digest}") == PRINTED
        docker("pull", "--quiet", f"{name}:1")
        assert docker("image", "inspect", "--format", "{{.Id}}", f"{name}:1").out.strip() == config_digest(image)
        docker("tag", f"{name}:1", f"{host}/test/pushed:2")
        docker("push", "--quiet", f"{host}/test/pushed:2")
        again = Image.from_registry(f"{host}/test/pushed:2")
        assert config_digest(again) == config_digest(image)
        docker("rmi", "--force", f"{host}/test/pushed:2", f"{name}:1")


def test_docker_saves_and_the_image_comes_back(docker, image, tmp_path):
    image.save(f"docker-archive:{tmp_path}/image.tar:test/saved:1")
    docker("load", "--input", f"{tmp_path}/image.tar")
    docker("save", "--output", f"{tmp_path}/saved.tar", "test/saved:1")
    with Registry() as registry:
        name = f"{registry.host}/test/saved:1"
        copy_image(f"docker-archive:{tmp_path}/saved.tar", name)
        assert config_digest(Image.from_registry(name)) == config_digest(image)
        docker("pull", "--quiet", name)
        assert run_docker(docker, name) == PRINTED


@pytest.mark.parametrize("kind", ["oci-archive", "docker-archive"])
def test_containerd_imports_and_runs(ctr, image, tmp_path, kind):
    image.save(f"{kind}:{tmp_path}/image.tar:docker.io/test/{kind}:1")
    ctr("images", "import", f"{tmp_path}/image.tar")
    name = f"docker.io/test/{kind}:1"
    ran = ctr("run", "--rm", name, f"test-{kind}", SHELL, "sh", "-c", PRINT)
    assert ran.out == PRINTED


def test_containerd_pulls(ctr, image):
    with Registry() as registry:
        image.save(f"{registry.host}/test/pulled", tags=["1"])
        ctr("images", "pull", "--plain-http", f"{registry.host}/test/pulled:1")
        ran = ctr("run", "--rm", f"{registry.host}/test/pulled:1", "test-pull", SHELL, "sh", "-c", PRINT)
        assert ran.out == PRINTED


# -- The goal `run` --

BUILD = """
files(name="busybox", sources=["busybox"])
image_layer(name="base", dependencies=[":busybox"], strip_prefix="app", directory="/tools", modes={"*": "0755"})
image_layer(name="text", inline_files={"/data/text": "TEXT"})
container_image(
    name="image",
    layers=[":base", ":text"],
    platforms=["linux/arm64", "linux/amd64"],
    entrypoint=["/tools/busybox", "sh", "-c"],
    env={"NAME": "value"},
    extra_run_args=["--env=FIELD=field"],
)
"""


@pytest.fixture(scope="module")
def backend():
    need("busybox")
    made = make_backend([QueryRule(RunRequest, [RunImageFieldSet])])
    made.write_files({"app/BUILD": BUILD, "app/busybox": Path(shutil.which("busybox")).read_bytes()})
    return made


def run_image(backend, env: dict, *arguments: str, runtime: str, text: str = "TEXT", run_args: str = ""):
    """Does what the goal does: the program is run with the environment of the user."""
    backend.write_files({"app/BUILD": BUILD.replace("TEXT", text)})
    options = [f"--dockless-runtime={runtime}"]
    if run_args:
        options.append(f"--dockless-run-args={run_args}")
    backend.set_options(options, env_inherit={"PATH"})
    target = backend.get_target(Address("app", target_name="image"))
    request = backend.request(RunRequest, [RunImageFieldSet.create(target)])
    sandbox = os.path.join(backend.build_root, "sandbox")
    shutil.rmtree(sandbox, ignore_errors=True)
    backend.write_digest(request.digest, path_prefix="sandbox")
    argv = [argument.replace("{chroot}", sandbox) for argument in request.args]
    return run(*argv, *arguments, cwd=Path(backend.build_root), env={**env, **request.extra_env}, ok=False)


ECHO = "echo $NAME $FIELD $0 $(/tools/busybox cat /data/text); exit 7"


def check_runs(backend, env: dict, runtime: str, run_args: str) -> None:
    """Runs an image, runs the image again, and runs the image with another layer."""
    first = run_image(backend, env, ECHO, "argument", runtime=runtime, run_args=run_args)
    assert (first.out, first.code) == ("value field argument TEXT\n", 7), first.err
    assert "2 of 2 layers sent" in first.err
    again = run_image(backend, env, ECHO, "argument", runtime=runtime, run_args=run_args)
    assert (again.out, again.code) == ("value field argument TEXT\n", 7), again.err
    assert "2 layers sent" not in again.err.replace("0 of 2 layers sent", "")
    changed = run_image(backend, env, ECHO, "argument", runtime=runtime, run_args=run_args, text="NEW")
    assert (changed.out, changed.code) == ("value field argument NEW\n", 7), changed.err
    assert "1 of 2 layers sent" in changed.err


def test_run_with_docker(backend, docker):
    check_runs(backend, docker.env, "docker", "--network=none")
    names = docker("images", "--format", "{{.Repository}}:{{.Tag}}").out.split()
    assert "image:latest" in names
    assert not any("/image" in name for name in names)


def test_run_with_podman(backend, tmp_path):
    with containers_storage("podman", "runc") as podman:
        program = tmp_path / "podman"
        program.write_text(f'#!/bin/sh\nexec podman {" ".join(podman.storage)} "$@"\n')
        program.chmod(0o755)
        check_runs(backend, podman.env, str(program), "--network=none")


def test_run_with_containerd(backend, ctr):
    check_runs(backend, ctr.env, "ctr", "")
    names = ctr("images", "ls", "--quiet").out.split()
    assert "docker.io/library/image:latest" in names
    assert not any(name.split("@")[0].endswith("/image") and name.startswith("127.") for name in names)


PROJECT = """
file(name="busybox", source="busybox")
container_image(
    name="image",
    dependencies=[":busybox"],
    strip_prefix="engines",
    directory="/tools",
    entrypoint=["/tools/busybox"],
)
image_test(name="test", image=":image", sources=["structure_test.yaml"], commands=["/bin/sh"])
"""
STRUCTURE_TEST = """\
schemaVersion: 2.0.0
fileExistenceTests:
  - name: shell
    path: /tools/busybox
    permissions: "-rw-r--r--"
"""


@pytest.fixture(scope="module")
def docker_checkout(tmp_path_factory, caches, docker):
    """A checkout whose daemon of Pants is started with the variables of `docker`, without the Python backend."""
    checkout = Checkout(tmp_path_factory.mktemp("checkout"), caches)
    checkout.env.update(ONLY_DOCKLESS)
    checkout.env.update({name: docker.env[name] for name in ("DOCKER_HOST", "DOCKER_CONFIG")})
    yield checkout
    checkout.close()


def test_run_and_test_with_pants(docker_checkout):
    """The goals as a user sees them."""
    checkout = docker_checkout
    need("busybox")
    directory = checkout.root / "engines"
    directory.mkdir()
    (directory / "BUILD").write_text(PROJECT)
    (directory / "structure_test.yaml").write_text(STRUCTURE_TEST)
    shutil.copy(shutil.which("busybox"), directory / "busybox")
    (directory / "busybox").chmod(0o755)
    options = ("--dockless-runtime=docker", "--dockless-run-args=--network=none --env=A=b")
    ran = checkout.pants(*options, "run", "engines:image", "--", "sh", "-c", "echo $A; exit 3", ok=False)
    assert (ran.code, ran.out) == (3, "b\n"), ran.err
    tested = checkout.pants("test", "engines:test", ok=False)
    assert tested.code == 1
    lines = tested.err.splitlines()
    problem = "/tools/busybox has the permissions -rwxr-xr-x (0755), not -rw-r--r--"
    assert f"engines/structure_test.yaml:3: shell: {problem}" in lines
    assert "engines:test: commands: the command /bin/sh does not exist" in lines
    assert "2 failures of 2 checks" in lines


ENVIRONMENTS = """
docker_environment(name="container", image="test/worker:1")
image_layer(name="layer", inline_files={"/a": "b"}, environment=parametrize("__local__", "docker"))
container_image(name="local", layers=[":layer@environment=__local__"])
container_image(name="docker", layers=[":layer@environment=docker"])
container_image(name="archive", layers=[":layer@environment=docker"], environment="docker", output="oci-archive")
"""


def test_layers_of_a_docker_environment(docker_checkout, docker, tmp_path):
    """Without cached layers, each layer is built twice. The container has no network."""
    if is_another_pants():
        pytest.skip(f"NOT TESTED with {VARIABLE}: the container has the interpreter of ./pants alone")
    worker_image().save(f"docker-archive:{tmp_path}/worker.tar:test/worker:1")
    docker("load", "--input", f"{tmp_path}/worker.tar")
    directory = docker_checkout.root / "environments"
    directory.mkdir()
    (directory / "BUILD").write_text(ENVIRONMENTS)
    names = ("local", "docker", "archive")
    done = docker_checkout.pants(
        *environment_options(tmp_path, docker="environments:container"),
        "--no-dockless-cache-layers",
        "--stats-log",
        "package",
        *(f"environments:{name}" for name in names),
    )
    (digest,) = {docker_checkout.description(f"environments/{name}.json")["digest"] for name in names}
    assert Image.from_archive(f"{docker_checkout.root}/dist/environments/archive.tar").digest == digest
    # The link to the interpreter, and the local layer twice.
    assert counters(done)["local_execution_requests"] == 3
